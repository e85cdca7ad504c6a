/** The address of the inbox and what it asks for. */

import type { RejectionFilter } from '../../api/rejections.ts'

export const SPANS = { '24h': 86_400, '7d': 7 * 86_400, '30d': 30 * 86_400 }
export type Span = keyof typeof SPANS
export const DEFAULT_SPAN: Span = '30d'
export const ROWS = [25, 50, 100, 200]
const DEFAULT_ROWS = 25

export interface InboxState {
  code: string
  /** Null: all clusters; empty: rejections that name none. */
  cluster: string | null
  span: Span
  page: number
  rows: number
  /** The rejection that is open: its stream and its sequence with a dash. */
  open: string
}

export function readInbox(url: URL): InboxState {
  const given = url.searchParams
  const span = given.get('since') ?? ''
  const rows = Number(given.get('rows'))
  const page = Number(given.get('page'))
  const open = given.get('open') ?? ''
  return {
    code: given.get('code') ?? '',
    cluster: given.get('cluster'),
    span: span in SPANS ? (span as Span) : DEFAULT_SPAN,
    page: Number.isInteger(page) && page > 0 ? page : 1,
    rows: ROWS.includes(rows) ? rows : DEFAULT_ROWS,
    open: /^[A-Z]+-\d+$/.test(open) ? open : '',
  }
}

/** Relative to the base path. What is the default is left out. */
export function inboxAddress(state: InboxState): string {
  const parameters = new URLSearchParams()
  if (state.code) parameters.set('code', state.code)
  if (state.cluster !== null) parameters.set('cluster', state.cluster)
  if (state.span !== DEFAULT_SPAN) parameters.set('since', state.span)
  if (state.page !== 1) parameters.set('page', String(state.page))
  if (state.rows !== DEFAULT_ROWS) parameters.set('rows', String(state.rows))
  if (state.open) parameters.set('open', state.open)
  const text = parameters.toString()
  return `monitoring/rejections/${text ? `?${text}` : ''}`
}

/** `now` in Unix milliseconds. */
export function asFilter({ code, cluster, span }: InboxState, now: number): RejectionFilter {
  return {
    ...(code ? { code } : {}),
    ...(cluster === null ? {} : { cluster }),
    since: Math.floor(now / 1000) - SPANS[span],
  }
}

export const keyOf = ({ stream, sequence }: { stream: string; sequence: number }) => `${stream}-${String(sequence)}`
