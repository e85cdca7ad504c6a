/** Marks of a time axis. Times are seconds since the start; the axis shows them as they are, or as time of day. Pure. */

import { duration, elapsed, TIME_STEPS } from '../lib/formats/duration.ts'
import { axisTime, longTime } from '../lib/formats/time.ts'

/** The start in milliseconds of Unix time, null if times are shown as they are, `share` for per cent of the duration in place of seconds. */
export type AxisStart = number | 'share' | null

const MINUTE_MS = 60_000
const SHARES = [1, 2, 5, 10, 20, 25, 50, 100]

/** Between which marks an axis may choose. */
export const stepsOf = (start: AxisStart): number[] => (start === 'share' ? SHARES : TIME_STEPS)

/** Multiples of `step` from `from` to `to`, counted from the start, or from midnight where the start is known (in milliseconds of Unix time). */
export function timeMarks(from: number, to: number, step: number, start: AxisStart): number[] {
  const offset = typeof start !== 'number' ? 0 : start / 1000 - (new Date(start).getTimezoneOffset() * MINUTE_MS) / 1000
  const first = Math.ceil((from + offset) / step)
  const last = Math.floor((to + offset) / step)
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step - offset)
}

export function timeMark(at: number, step: number, start: AxisStart): string {
  if (start === 'share') return `${String(at)} %`
  return start === null ? elapsed(at, step) : axisTime(new Date(start + at * 1000), step)
}

/** A time of the axis in words. */
export function timeAt(at: number, start: AxisStart): string {
  if (start === 'share') return `${String(Math.round(at))} %`
  return start === null ? duration(at) : longTime(new Date(start + at * 1000))
}
