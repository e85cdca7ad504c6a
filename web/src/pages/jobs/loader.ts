/** The address of a job list and what it asks for. */

import type { JobListVariables } from '../../api/jobs.ts'
import { asQuery } from './filters-as-query.ts'
import { readFilters, writeFilters, type Filters } from './filters.ts'

export interface ListState {
  filters: Filters
  /** A column or footprint key; the first character is `-` for falling order. */
  sort: string
  page: number
  rows: number
  /** Null: the usual one of the width of the screen. */
  view: View | null
  /** New rows appear by themselves; on the first page of the newest jobs. */
  follow: boolean
  /** Histograms of the jobs above the rows. */
  histograms: boolean
}

export type View = 'table' | 'plots' | 'cards'
export const VIEWS: View[] = ['table', 'plots', 'cards']

export const DEFAULT_SORT = '-startTime'
export const ROWS = [25, 50, 100, 200]
export const DEFAULT_ROWS = 50
export const ROWS_SETTING = 'jobList_jobsPerPage' // the key of cc-backend, which has other numbers

/** What an address without `rows` means. */
let usualRows = DEFAULT_ROWS

/** `stored` is the value of the setting, which may be anything. */
export function useRows(stored: unknown): void {
  const wanted = Number(stored)
  usualRows = wanted > 0 ? (ROWS.find((rows) => rows >= wanted) ?? DEFAULT_ROWS) : DEFAULT_ROWS
}

/** The columns that jobs can be sorted by, besides footprint keys. */
export const SORTABLE = [
  'startTime',
  'jobId',
  'jobName',
  'user',
  'project',
  'cluster',
  'partition',
  'state',
  'numNodes',
  'numHWThreads',
  'numAcc',
  'duration',
  'walltime',
  'energy',
]

export function readList(url: URL): ListState {
  const given = url.searchParams
  const rows = Number(given.get('rows'))
  const page = Number(given.get('page'))
  const sort = given.get('sort') ?? ''
  return {
    filters: readFilters(given),
    sort: /^-?[\w-]+$/.test(sort) ? sort : DEFAULT_SORT,
    page: Number.isInteger(page) && page > 0 ? page : 1,
    rows: ROWS.includes(rows) ? rows : usualRows,
    view: VIEWS.find((view) => view === given.get('view')) ?? null,
    follow: given.get('follow') === '1',
    histograms: given.get('histograms') === '1',
  }
}

/** The address of a list, relative to the base path. What is the default is left out. */
export function listAddress(state: ListState, path = 'monitoring/jobs/'): string {
  const parameters = writeFilters(state.filters)
  if (state.sort !== DEFAULT_SORT) parameters.set('sort', state.sort)
  if (state.page !== 1) parameters.set('page', String(state.page))
  if (state.rows !== usualRows) parameters.set('rows', String(state.rows))
  if (state.view) parameters.set('view', state.view)
  if (state.follow) parameters.set('follow', '1')
  if (state.histograms) parameters.set('histograms', '1')
  const text = parameters.toString()
  return `${path}${text ? `?${text}` : ''}`
}

/** Only there new jobs have a place that is known. */
export const isNewestFirst = ({ sort, page }: ListState): boolean => sort === DEFAULT_SORT && page === 1

/** The parameters that export all jobs of a list. */
export function exportParameters({ filters, sort }: ListState): URLSearchParams {
  const parameters = writeFilters(filters)
  parameters.set('sort', sort)
  return parameters
}

export function variables({ filters, sort, page, rows }: ListState): JobListVariables {
  const name = sort.replace(/^-/, '')
  const isColumn = SORTABLE.includes(name)
  return {
    filter: asQuery(filters),
    page: { page, itemsPerPage: rows },
    order: { field: name, type: isColumn ? 'col' : 'foot', order: sort.startsWith('-') ? 'DESC' : 'ASC' },
  }
}
