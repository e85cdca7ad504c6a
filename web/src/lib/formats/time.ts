/** Times in the zone that the viewer chose, unless another is given: an IANA name or `UTC`. */

import { zone as chosen } from '../zone.svelte.ts'

const formats = new Map<string, Intl.DateTimeFormat>()

function format(key: string, options: Intl.DateTimeFormatOptions, wanted: string | undefined): Intl.DateTimeFormat {
  const zone = wanted ?? chosen.name
  const name = `${key} ${zone ?? ''}`
  let found = formats.get(name)
  if (!found) {
    found = new Intl.DateTimeFormat('en-GB', { ...options, hour12: false, ...(zone ? { timeZone: zone } : {}) })
    formats.set(name, found)
  }
  return found
}

const CLOCK: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit' }
const DATE: Intl.DateTimeFormatOptions = { day: '2-digit', month: 'short' }

/** `14:05` on the day of `now`, `28 Nov 14:05` in its year, else `28 Nov 2025`. */
export function shortTime(time: Date, now: Date, zone?: string): string {
  const day = format('day', { year: 'numeric', ...DATE }, zone)
  if (day.format(time) === day.format(now)) return format('clock', CLOCK, zone).format(time)
  const year = format('year', { year: 'numeric' }, zone)
  if (year.format(time) !== year.format(now)) return day.format(time)
  return `${format('date', DATE, zone).format(time)} ${format('clock', CLOCK, zone).format(time)}`
}

/** At an axis: `14:05`, or `28 Nov` where a day or more lies between the marks. */
export const clockMark = (time: Date, isWithinDay: boolean, zone?: string): string =>
  isWithinDay ? format('clock', CLOCK, zone).format(time) : format('date', DATE, zone).format(time)

/** `Sat 28 Nov 2026, 14:05:09`. */
export function longTime(time: Date, zone?: string): string {
  const date = format('long', { weekday: 'short', year: 'numeric', ...DATE }, zone)
    .format(time)
    .replace(',', '')
  return `${date}, ${format('seconds', { ...CLOCK, second: '2-digit' }, zone).format(time)}`
}

/** A time at an axis whose marks are `step` seconds apart: `14:05`, `14:05:30`, and `28 Nov` at midnight. */
export function axisTime(time: Date, step: number, zone?: string): string {
  const clock = format('clock', CLOCK, zone).format(time)
  if (clock === '00:00' && step >= 60) return format('date', DATE, zone).format(time)
  return step < 60 ? format('seconds', { ...CLOCK, second: '2-digit' }, zone).format(time) : clock
}

/** ISO 8601 in UTC without fractions, for titles. */
export const isoTime = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z')

/** `Nov`, and `Jan 2026` in the first month of a year. */
export function monthText(time: Date, zone?: string): string {
  const month = format('month number', { month: 'numeric' }, zone).format(time)
  return format(month === '1' ? 'month and year' : 'month', { month: 'short', ...(month === '1' ? { year: 'numeric' } : {}) }, zone).format(
    time,
  )
}

/** The IANA name of the zone that the viewer chose, or of the browser's. */
export const zone = (): string => chosen.name ?? Intl.DateTimeFormat().resolvedOptions().timeZone

/** `28 Nov`. */
export const dayText = (time: Date, zone?: string): string => format('date', DATE, zone).format(time)
