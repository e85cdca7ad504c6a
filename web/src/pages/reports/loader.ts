/** The address of a report, with the filters of job lists, and what it asks for. */

import type { Aggregate, ReportVariables, Totals } from '../../api/use.ts'
import { asQuery } from '../jobs/filters-as-query.ts'
import { readFilters, writeFilters, type Filters } from '../jobs/filters.ts'
import { columnOf, COLUMNS } from '../use/columns.ts'
import { withoutName } from '../use/loader.ts'

export const BYS = ['project', 'user', 'cluster', 'partition', 'state', 'time'] as const
export const BINS = ['month', 'day', 'hour'] as const
/** The columns that are sums, so that their parts can be stacked. */
export const VALUES = COLUMNS.filter(({ key }) => key !== 'wait').map(({ key }) => key)
export const TOP = 7 // and the rest: as many as there are colours
export const GROUPS = 50
const DEFAULT_VALUE = 'coreHours'

export type By = (typeof BYS)[number]
export type BinName = (typeof BINS)[number]

export interface ReportState {
  filters: Filters
  by: By
  bin: BinName
  value: string
}

const oneOf = <T extends string>(known: readonly T[], text: string | null): T => known.find((one) => one === text) ?? (known[0] as T)

export function readReport(url: URL): ReportState {
  const given = url.searchParams
  const value = given.get('value') ?? ''
  return {
    filters: readFilters(given),
    by: oneOf(BYS, given.get('by')),
    bin: oneOf(BINS, given.get('bin')),
    value: VALUES.includes(value) ? value : DEFAULT_VALUE,
  }
}

export function reportAddress({ filters, by, bin, value }: ReportState): string {
  const parameters = writeFilters(filters)
  if (by !== BYS[0]) parameters.set('by', by)
  if (bin !== BINS[0]) parameters.set('bin', bin)
  if (value !== DEFAULT_VALUE) parameters.set('value', value)
  const text = parameters.toString()
  return `monitoring/reports/${text ? `?${text}` : ''}`
}

/** Without groups the table has a row for each period, and the request asks for the states, which are few. */
export function variables({ filters, by, bin, value }: ReportState, zone: string, rows = GROUPS): ReportVariables {
  return {
    filter: asQuery(filters),
    groupBy: by === 'time' ? 'STATE' : (by.toUpperCase() as Aggregate),
    sortBy: columnOf(value).sort ?? 'TOTALJOBS',
    bin: bin.toUpperCase() as ReportVariables['bin'],
    zone,
    top: TOP,
    page: { page: 1, itemsPerPage: rows },
  }
}

/** The list of the jobs of a group. */
export function groupAddress(filters: Filters, by: By, id: string): string {
  const kept = by === 'user' || by === 'project' ? withoutName(by, filters) : filters
  const own: Filters =
    by === 'user' ? { user: [id], userMatch: 'eq' } : by === 'state' ? { state: [id] } : by === 'time' ? {} : { [by]: id }
  return `monitoring/jobs/?${writeFilters({ ...kept, ...own }).toString()}`
}

/** The filters for the jobs of a period: both ends are included. */
export const inPeriod = (filters: Filters, from: string, to: string): Filters => ({
  ...filters,
  startTime: { from: Date.parse(from) / 1000, to: Date.parse(to) / 1000 - 1 },
})

export const valueOf = (key: string, totals: Totals): number => columnOf(key).value(totals) ?? 0
