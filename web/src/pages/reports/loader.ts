/** The address of a report, with the filters of job lists, and what it asks for. */

import type { Aggregate, ReportVariables, Totals } from '../../api/use.ts'
import { filled, spelled } from '../jobs/default-time.ts'
import { asQuery } from '../jobs/filters-as-query.ts'
import { readFilters, writeFilters, type Filters, type TimeSpan } from '../jobs/filters.ts'
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

const MONTHS = 12

/** The start times of a report without a filter for them: as many periods as stand side by side. Months are those of the browser. */
function spanOf(bin: BinName, now: Date): TimeSpan {
  if (bin !== 'month') return { range: bin === 'day' ? 'last30d' : 'last7d' }
  return { from: new Date(now.getFullYear(), now.getMonth() - MONTHS + 1, 1).getTime() / 1000, to: 0 }
}

export function readReport(url: URL, now = new Date()): ReportState {
  const given = url.searchParams
  const value = given.get('value') ?? ''
  const bin = oneOf(BINS, given.get('bin'))
  return {
    filters: filled(readFilters(given), spanOf(bin, now)),
    by: oneOf(BYS, given.get('by')),
    bin,
    value: VALUES.includes(value) ? value : DEFAULT_VALUE,
  }
}

/** The same with another period, and its start times where they are not chosen. */
export function withBin(state: ReportState, bin: BinName, now = new Date()): ReportState {
  return { ...state, bin, filters: filled(spelled(state.filters, spanOf(state.bin, now)), spanOf(bin, now)) }
}

export function reportAddress({ filters, by, bin, value }: ReportState, now = new Date()): string {
  const parameters = writeFilters(spelled(filters, spanOf(bin, now)))
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
