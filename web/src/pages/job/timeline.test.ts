import { expect, test } from 'vitest'
import { timelineOf, type TimelineJob } from './timeline.ts'

const START = Date.parse('2026-11-28T10:00:00Z')
const job = (changes: Partial<TimelineJob>): TimelineJob => ({
  state: 'completed',
  submitTime: null,
  startTime: '2026-11-28T10:00:00Z',
  duration: 3600,
  walltime: 0,
  advice: [],
  ...changes,
})
const kinds = (found: { kind: string }[]) => found.map(({ kind }) => kind)

test('a job that ended without a limit fills the line', () => {
  const { parts, moments } = timelineOf(job({}), START)
  expect(parts).toEqual([{ kind: 'ran', share: 1, text: '1:00 h' }])
  expect(kinds(moments)).toEqual(['started', 'ended'])
})

test('a running job is measured against its limit', () => {
  const { parts, moments } = timelineOf(job({ state: 'running', walltime: 7200 }), START + 1_800_000)
  expect(parts.map(({ kind, share }) => [kind, share])).toEqual([
    ['ran', 0.25],
    ['left', 0.75],
  ])
  expect(kinds(moments)).toEqual(['started', 'now', 'limit'])
})

test('days in the queue take a fifth of the line, and time beyond the limit is a part of its own', () => {
  const { parts } = timelineOf(job({ submitTime: '2026-11-20T10:00:00Z', walltime: 1800 }), START)
  expect(parts.map(({ kind, share }) => [kind, Number(share.toFixed(3))])).toEqual([
    ['waited', 0.2],
    ['ran', 0.4],
    ['over', 0.4],
  ])
})

test('advice stands where it began', () => {
  const advice = [{ rule: 'r', severity: 'warning', text: 'Idle.', action: '', metric: null, since: '2026-11-28T10:15:00Z' }]
  const { moments } = timelineOf(job({ advice } as Partial<TimelineJob>), START)
  expect(moments[1]).toEqual({ kind: 'advice', text: 'Idle.', at: START + 900_000, share: 0.25 })
})

test('changes of its nodes stand where they were reported, some of many, also after its end', () => {
  const at = (seconds: number) => ({
    time: START / 1000 + seconds,
    hostname: 'f1',
    schedulerState: 'down' as const,
    states: ['DOWN', 'DRAIN'],
  })
  const { moments, hidden } = timelineOf(job({}), START, [at(1800), at(4000)])
  expect(moments.filter(({ kind }) => kind === 'node').map(({ text, share }) => [text, share])).toEqual([
    ['f1: down, drain', 0.5],
    ['f1: down, drain', 1],
  ])
  expect(hidden).toBe(0)
  expect(
    timelineOf(
      job({}),
      START,
      Array.from({ length: 500 }, () => at(1)),
    ).hidden,
  ).toBe(492)
})
