import { SPANS, type TimeSpan } from './filters.ts'
import { unixTime } from './zoned.ts'

const DAY = /^\d{4}-\d\d-\d\d$/

/**
 * `last24h`; a day `2026-11-28`; from day to day `2026-11-28..2026-11-30`; with times `2026-11-28T10:00..2026-11-28T12:30`, where an end
 * may be missing; Unix times `A-B`. Days and times are those of the zone in which times are shown. Null for anything else.
 */
export function typedSpan(text: string): TimeSpan | null {
  if ((SPANS as readonly string[]).includes(text)) return { range: text }
  const seconds = /^(\d{9,12})-(\d{9,12}|0)$/.exec(text)
  if (seconds) return checked(Number(seconds[1]), Number(seconds[2]))
  const [first = '', last = first, more] = text.split('..')
  if (more !== undefined || (!first && !last)) return null
  const from = first ? unixTime(DAY.test(first) ? `${first}T00:00` : first) : 0
  const to = last ? unixTime(DAY.test(last) ? `${last}T23:59:59` : last) : 0
  return from === null || to === null || (!text.includes('..') && !DAY.test(text)) ? null : checked(from, to)
}

const checked = (from: number, to: number) => (to && from > to ? null : { from, to })
