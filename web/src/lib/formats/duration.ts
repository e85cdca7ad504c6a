/** Durations in seconds as people of a cluster read them: `4 s`, `12:05 min`, `3:07 h`, `2d 04:10`. */

const MINUTE = 60
const HOUR = 3600
const DAY = 86_400

const padded = (value: number) => String(value).padStart(2, '0')

export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  if (whole < MINUTE) return `${String(whole)} s`
  if (whole < HOUR) return `${String(Math.floor(whole / MINUTE))}:${padded(whole % MINUTE)} min`
  const hours = Math.floor((whole % DAY) / HOUR)
  const minutes = padded(Math.floor((whole % HOUR) / MINUTE))
  if (whole < DAY) return `${String(hours)}:${minutes} h`
  return `${String(Math.floor(whole / DAY))}d ${padded(hours)}:${minutes}`
}

/** Steps of a time axis in seconds that people count in. */
export const TIME_STEPS = [
  1,
  2,
  5,
  10,
  15,
  30,
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR),
  ...[1, 2, 5, 10, 20, 50].map((days) => days * DAY),
]

/** A time since the start at an axis whose marks are `step` seconds apart: `30 s`, `1:30 min`, `15 min`, `1:15 h`, `6 h`, `2 d`. */
export function elapsed(seconds: number, step: number): string {
  if (seconds === 0) return '0'
  if (step >= DAY) return `${String(seconds / DAY)} d`
  if (step >= HOUR) return `${String(seconds / HOUR)} h`
  if (seconds >= HOUR) return `${String(Math.floor(seconds / HOUR))}:${padded(Math.floor((seconds % HOUR) / MINUTE))} h`
  if (step >= MINUTE) return `${String(seconds / MINUTE)} min`
  return seconds < MINUTE ? `${String(seconds)} s` : `${String(Math.floor(seconds / MINUTE))}:${padded(seconds % MINUTE)} min`
}

const UNITS: Record<string, number> = { s: 1, m: MINUTE, min: MINUTE, h: HOUR, d: DAY, w: 7 * DAY }

/** Seconds of `90`, `90s`, `15m`, `2h`, `1.5h`, `3d` or `2:30` (hours and minutes); null for anything else. */
export function parseDuration(text: string): number | null {
  const clock = /^(\d{1,4}):([0-5]\d)$/.exec(text.trim())
  if (clock) return Number(clock[1]) * HOUR + Number(clock[2]) * MINUTE
  const given = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(text.trim().toLowerCase())
  const unit = given && (given[2] ? UNITS[given[2]] : 1)
  return given && unit ? Math.round(Number(given[1]) * unit) : null
}
