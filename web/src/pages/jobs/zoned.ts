/** Times as fields and search words hold them, `2026-11-28T10:00`, in the zone in which times are shown. */

import { zone } from '../../lib/zone.svelte.ts'

const MINUTE_MS = 60_000
const padded = (value: number) => String(value).padStart(2, '0')

/** What a clock of the zone is ahead of UTC at a time, milliseconds. */
function ahead(at: number, name: string): number {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: name,
    hourCycle: 'h23',
    ...{ year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' },
  } as const)
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)])) as Record<string, number>
  const { year = 0, month = 1, day = 1, hour, minute, second } = parts
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1000) * 1000
}

/** Unix seconds as `2026-11-28T10:00`, with seconds where they are not 0. */
export function localTime(seconds: number): string {
  const at = new Date(seconds * 1000)
  const shift = zone.name ? ahead(at.getTime(), zone.name) : -at.getTimezoneOffset() * MINUTE_MS
  const shown = new Date(at.getTime() + shift)
  const date = [shown.getUTCFullYear(), padded(shown.getUTCMonth() + 1), padded(shown.getUTCDate())].join('-')
  const time = `${padded(shown.getUTCHours())}:${padded(shown.getUTCMinutes())}`
  return `${date}T${time}${shown.getUTCSeconds() ? `:${padded(shown.getUTCSeconds())}` : ''}`
}

/** Unix seconds; null for what is no time after 1970. */
export function unixTime(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text)) return null
  let at = Date.parse(zone.name ? `${text}Z` : text)
  if (zone.name && !Number.isNaN(at)) {
    const first = at - ahead(at, zone.name)
    at -= ahead(first, zone.name) // the offset may be another one at that time
  }
  return Number.isNaN(at) || at <= 0 ? null : Math.floor(at / 1000)
}
