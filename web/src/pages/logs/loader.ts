/** The address of the log and what it asks for. */

import type { LogQuery } from '../../api/logs.ts'
import * as texts from '../../texts/en.ts'

export const SINCE = Object.keys(texts.logs.spans) as (keyof typeof texts.logs.spans)[]
export const LINES = [100, 200, 500, 1000]
const DEFAULT: LogQuery = { since: '1 hour ago', lines: 200, level: null, search: '' }
/** What the gateway passes on to journalctl. */
export const SAFE_SEARCH = /^[A-Za-z0-9 :.-]*$/

export function readLog(url: URL): LogQuery {
  const given = url.searchParams
  const since = given.get('since') ?? ''
  const lines = Number(given.get('lines'))
  const level = given.get('level') ?? ''
  const search = given.get('search') ?? ''
  return {
    since: (SINCE as string[]).includes(since) ? since : DEFAULT.since,
    lines: LINES.includes(lines) ? lines : DEFAULT.lines,
    level: /^[0-7]$/.test(level) ? Number(level) : null,
    search: SAFE_SEARCH.test(search) ? search : '',
  }
}

/** Relative to the base path. What is the default is left out. */
export function logAddress({ since, lines, level, search }: LogQuery): string {
  const parameters = new URLSearchParams()
  if (since !== DEFAULT.since) parameters.set('since', since)
  if (lines !== DEFAULT.lines) parameters.set('lines', String(lines))
  if (level !== null) parameters.set('level', String(level))
  if (search) parameters.set('search', search)
  const text = parameters.toString()
  return `monitoring/logs${text ? `?${text}` : ''}`
}

/** How a syslog priority looks. */
export const tone = (priority: number) => (priority <= 3 ? 'bad' : priority === 4 ? 'warn' : 'plain')
