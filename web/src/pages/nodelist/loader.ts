/** The address of a list of nodes. */

import { RANGES, type Range } from '../node/loader.ts'

export interface NodeListState {
  /** Empty: of all subclusters. */
  subCluster: string
  /** One state of the scheduler, `all`, or `notindb` for nodes that were never reported. */
  state: string
  /** A part of the host name. */
  host: string
  last: Range
  page: number
  rows: number
}

export const ROWS = [10, 25, 50]
export const ALL = 'all'
export const UNREPORTED = 'notindb'
const DEFAULT_ROWS = 25
const DEFAULT_RANGE: Range = '1h'

export function readNodeList(url: URL, subCluster: string): NodeListState {
  const given = url.searchParams
  const [page, rows, last] = [Number(given.get('page')), Number(given.get('rows')), given.get('last') ?? '']
  return {
    subCluster,
    state: given.get('state') || ALL,
    host: given.get('host') ?? '',
    last: last in RANGES ? (last as Range) : DEFAULT_RANGE,
    page: Number.isInteger(page) && page > 0 ? page : 1,
    rows: ROWS.includes(rows) ? rows : DEFAULT_ROWS,
  }
}

/** Relative to the base path. */
export function nodeListAddress(cluster: string, { subCluster, state, host, last, page, rows }: NodeListState): string {
  const parameters = new URLSearchParams()
  if (state !== ALL) parameters.set('state', state)
  if (host) parameters.set('host', host)
  if (last !== DEFAULT_RANGE) parameters.set('last', last)
  if (page !== 1) parameters.set('page', String(page))
  if (rows !== DEFAULT_ROWS) parameters.set('rows', String(rows))
  const text = parameters.toString()
  const path = [cluster, ...(subCluster ? [subCluster] : [])].map(encodeURIComponent).join('/')
  return `monitoring/systems/list/${path}${text ? `?${text}` : ''}`
}
