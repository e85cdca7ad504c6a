/** States and jobs of a node as bars on a time axis. Pure; times in Unix seconds. */

import type { NodeJob } from '../../api/node.ts'

export interface Window {
  from: number
  to: number
}

export interface Phase extends Window {
  state: string
}

/** One phase for each run of equal records. A record holds until the next one, the last until the end of the window. */
export function phases(records: readonly { time: number; state: string }[], window: Window): Phase[] {
  const found: Phase[] = []
  for (const [index, { time, state }] of records.entries()) {
    const from = Math.max(window.from, time)
    const to = Math.min(window.to, records[index + 1]?.time ?? window.to)
    if (to <= from) continue
    const last = found.at(-1)
    if (last?.state === state) last.to = to
    else found.push({ state, from, to })
  }
  return found
}

export interface Bar extends Window {
  job: NodeJob
  lane: number
}

/** Each job in the first lane that is free at its start, the earliest job first. */
export function bars(jobs: readonly NodeJob[], window: Window): Bar[] {
  const ends: number[] = []
  return jobs
    .map((job) => ({ job, begins: Date.parse(job.startTime) / 1000 }))
    .sort((a, b) => a.begins - b.begins)
    .map(({ job, begins }) => {
      const endsAt = job.state === 'running' ? window.to : begins + job.duration
      const free = ends.findIndex((end) => end <= begins)
      const lane = free < 0 ? ends.length : free
      ends[lane] = endsAt
      return { job, lane, from: Math.max(begins, window.from), to: Math.min(endsAt, window.to) }
    })
}

/** Where a bar stands in the part that is shown, in percent; null outside of it. */
export function place(bar: Window, shown: Window): { left: number; width: number } | null {
  const from = Math.max(bar.from, shown.from)
  const to = Math.min(bar.to, shown.to)
  const whole = shown.to - shown.from
  return to <= from || whole <= 0 ? null : { left: ((from - shown.from) / whole) * 100, width: ((to - from) / whole) * 100 }
}

const STEPS = [60, 300, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800]
const MAX_MARKS = 6

/** Round times of the viewer's zone, at most six; `offset` is the zone's difference to UTC in seconds. */
export function marks({ from, to }: Window, offset: number): number[] {
  const step = STEPS.find((seconds) => (to - from) / seconds <= MAX_MARKS) ?? 604_800
  const first = Math.ceil((from + offset) / step) * step - offset
  return Array.from({ length: Math.max(0, Math.floor((to - first) / step) + 1) }, (_, index) => first + index * step)
}
