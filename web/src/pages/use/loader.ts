/** The address of a table of users or projects, with the filters of job lists, and what it asks for. */

import type { UseTableVariables } from '../../api/use.ts'
import { asQuery } from '../jobs/filters-as-query.ts'
import { readFilters, writeFilters, type Filters } from '../jobs/filters.ts'
import { COLUMNS, columnOf } from './columns.ts'

export type Kind = 'user' | 'project'

export interface TableState {
  filters: Filters
  /** The key of a column, or `name`. */
  sort: string
  page: number
  rows: number
}

export const ROWS = [25, 50, 100]
const DEFAULT_SORT = 'jobs'
const PATHS: Record<Kind, string> = { user: 'monitoring/users/', project: 'monitoring/projects/' }

export function readTable(url: URL): TableState {
  const given = url.searchParams
  const sort = given.get('sort') ?? ''
  const page = Number(given.get('page'))
  const rows = Number(given.get('rows'))
  return {
    filters: readFilters(given),
    sort: sort === 'name' || COLUMNS.some((column) => column.key === sort && column.sort) ? sort : DEFAULT_SORT,
    page: Number.isInteger(page) && page > 0 ? page : 1,
    rows: ROWS.includes(rows) ? rows : 25,
  }
}

export function tableAddress(kind: Kind, state: TableState): string {
  const parameters = writeFilters(state.filters)
  if (state.sort !== DEFAULT_SORT) parameters.set('sort', state.sort)
  if (state.page !== 1) parameters.set('page', String(state.page))
  if (state.rows !== 25) parameters.set('rows', String(state.rows))
  const text = parameters.toString()
  return `${PATHS[kind]}${text ? `?${text}` : ''}`
}

export function variables(kind: Kind, { filters, sort, page, rows }: TableState): UseTableVariables {
  return {
    filter: asQuery(filters),
    groupBy: kind === 'user' ? 'USER' : 'PROJECT',
    sortBy: (sort === 'name' ? null : columnOf(sort).sort) ?? null,
    page: { page, itemsPerPage: rows },
  }
}

export const without = (filters: Filters, ...keys: (keyof Filters)[]): Filters =>
  Object.fromEntries(Object.entries(filters).filter(([key]) => !(keys as string[]).includes(key))) as Filters

const NAMES: Record<Kind, (keyof Filters)[]> = { user: ['user', 'userMatch'], project: ['project', 'projectMatch'] }

/** The filters without those of the name of a kind. */
export const withoutName = (kind: Kind, filters: Filters): Filters => without(filters, ...NAMES[kind])

/** The page of a person or project; with other filters than the time, the job list with the same filters. */
export function addressOf(kind: Kind, name: string, filters: Filters): string {
  const others = withoutName(kind, filters)
  const path = encodeURIComponent(name)
  if (!Object.keys(without(others, 'startTime')).length && path !== '' && path !== '.' && path !== '..') {
    const text = writeFilters(others).toString()
    return `monitoring/${kind}/${path}${text ? `?${text}` : ''}`
  }
  const own: Filters = kind === 'user' ? { user: [name], userMatch: 'eq' } : { project: name }
  return `monitoring/jobs/?${writeFilters({ ...others, ...own }).toString()}`
}

/** The filters with a part of a name, or without it. */
export function searched(kind: Kind, filters: Filters, text: string): Filters {
  const rest = withoutName(kind, filters)
  if (!text.trim()) return rest
  return kind === 'user' ? { ...rest, user: [text.trim()] } : { ...rest, project: text.trim(), projectMatch: 'contains' }
}
