/** The course of a job: the parts of its time and what happened when. Pure. */

import type { Job, JobNodeEvent } from '../../api/jobs.ts'
import { duration } from '../../lib/formats/duration.ts'

export type TimelineJob = Pick<Job, 'state' | 'submitTime' | 'startTime' | 'duration' | 'walltime' | 'advice'>

/** `share` is of the width of the line; shares add up to 1. */
export interface Part {
  kind: 'waited' | 'ran' | 'left' | 'over'
  share: number
  text: string
}

/** `share` is the place on the line, from 0. */
export interface Moment {
  kind: 'submitted' | 'started' | 'advice' | 'node' | 'ended' | 'now' | 'limit'
  text: string
  /** Milliseconds of Unix time. */
  at: number
  share: number
}

const MAX_EVENTS = 8 // a switch that fails takes hundreds of nodes with it
const MAX_WAIT_SHARE = 0.2 // days in the queue must not hide an hour of work
const IN_PROGRESS = ['running', 'suspended']

/** `hidden` are the events of nodes that have no moment. */
export interface Course {
  parts: Part[]
  moments: Moment[]
  hidden: number
}

/** `now` in milliseconds of Unix time; only a job in progress depends on it. */
export function timelineOf(job: TimelineJob, now: number, events: JobNodeEvent[] = []): Course {
  const start = Date.parse(job.startTime)
  const submit = job.submitTime ? Math.min(Date.parse(job.submitTime), start) : start
  const isRunning = IN_PROGRESS.includes(job.state)
  const end = isRunning ? Math.max(now, start) : start + job.duration * 1000
  const limit = job.walltime ? start + job.walltime * 1000 : null
  const last = Math.max(end, isRunning ? (limit ?? end) : end, start + 1000)
  const waitShare = Math.min(MAX_WAIT_SHARE, (start - submit) / (last - submit))
  const place = (at: number) =>
    at >= start
      ? waitShare + ((1 - waitShare) * (Math.min(at, last) - start)) / (last - start)
      : waitShare * ((at - submit) / Math.max(1, start - submit))
  const text = (from: number, to: number) => duration((to - from) / 1000)
  const endsAt = limit !== null && limit < end ? limit : end
  const parts: Part[] = [
    { kind: 'waited', share: waitShare, text: text(submit, start) },
    { kind: 'ran', share: place(endsAt) - waitShare, text: text(start, endsAt) },
    { kind: 'over', share: place(end) - place(endsAt), text: text(endsAt, end) },
    { kind: 'left', share: 1 - place(end), text: text(end, last) },
  ]
  const moments: Moment[] = [
    ...(submit < start ? [{ kind: 'submitted' as const, text: '', at: submit, share: 0 }] : []),
    { kind: 'started', text: '', at: start, share: waitShare },
    ...job.advice
      .filter(({ since }) => since)
      .map((one) => ({
        kind: 'advice' as const,
        text: one.text,
        at: Date.parse(one.since ?? ''),
        share: place(Date.parse(one.since ?? '')),
      })),
    ...events.slice(0, MAX_EVENTS).map(({ time, hostname, schedulerState, states }) => ({
      kind: 'node' as const,
      text: `${hostname}: ${states.join(', ').toLowerCase() || schedulerState}`,
      at: time * 1000,
      share: place(Math.max(start, time * 1000)),
    })),
    { kind: isRunning ? 'now' : 'ended', text: isRunning ? '' : job.state, at: end, share: place(end) },
    ...(limit !== null && limit <= last ? [{ kind: 'limit' as const, text: '', at: limit, share: place(limit) }] : []),
  ]
  const hidden = Math.max(0, events.length - MAX_EVENTS)
  return { parts: parts.filter(({ share }) => share > 0), moments: moments.toSorted((a, b) => a.at - b.at), hidden }
}
