/** Marks of a time axis. Times are seconds since the start; the axis shows them as they are, or as time of day. Pure. */

import { elapsed } from '../lib/formats/duration.ts'
import { axisTime } from '../lib/formats/time.ts'

const MINUTE_MS = 60_000

/** Multiples of `step` from `from` to `to`, counted from the start, or from midnight where the start is known (in milliseconds of Unix time). */
export function timeMarks(from: number, to: number, step: number, start: number | null): number[] {
  const offset = start === null ? 0 : start / 1000 - (new Date(start).getTimezoneOffset() * MINUTE_MS) / 1000
  const first = Math.ceil((from + offset) / step)
  const last = Math.floor((to + offset) / step)
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step - offset)
}

export const timeMark = (at: number, step: number, start: number | null): string =>
  start === null ? elapsed(at, step) : axisTime(new Date(start + at * 1000), step)
