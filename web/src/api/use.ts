/** What jobs used: sums by group and over time. All raise ApiError. */

import { only } from './documents.ts'
import { query } from './graphql.ts'
import useText from './queries/use.graphql?raw'
import type {
  ReportQuery,
  ReportQueryVariables,
  TotalsFragment,
  UseOfQuery,
  UseOfQueryVariables,
  UseTableQuery,
  UseTableQueryVariables,
} from './types.ts'

/** Hours are those of the jobs, energy is kWh. */
export type Totals = TotalsFragment
export type Group = UseTableQuery['groups'][number]
export type Whole = UseTableQuery['whole'][number]
export type Running = UseOfQuery['running'][number]
export type UseTableVariables = UseTableQueryVariables
export type UseOfVariables = UseOfQueryVariables
export type ReportVariables = ReportQueryVariables
export type Bin = ReportQuery['bins'][number]
export type Part = ReportQuery['parts'][number]
export type Report = Omit<ReportQuery, 'whole'> & { whole: Whole | null }
export type { Aggregate, SortByAggregate } from './types.ts'

const TABLE = only(useText, 'UseTable')
const USE_OF = only(useText, 'UseOf')
const REPORT = only(useText, 'Report')

/** One page of groups, the largest first, and the sums over all of them. */
export async function useTable(variables: UseTableVariables, signal?: AbortSignal): Promise<{ groups: Group[]; whole: Whole | null }> {
  const found = await query<UseTableQuery, UseTableQueryVariables>(TABLE, variables, signal)
  return { groups: found.groups, whole: found.whole[0] ?? null }
}

/** The sums of one person or project, and their months. */
export async function useOf(variables: UseOfVariables, signal?: AbortSignal) {
  const found = await query<UseOfQuery, UseOfQueryVariables>(USE_OF, variables, signal)
  return { whole: found.whole[0] ?? null, running: found.running[0] ?? null, bins: found.bins }
}

export async function report(variables: ReportVariables, signal?: AbortSignal): Promise<Report> {
  const found = await query<ReportQuery, ReportQueryVariables>(REPORT, variables, signal)
  return { ...found, whole: found.whole[0] ?? null }
}
