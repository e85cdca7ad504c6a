import { describe, expect, test } from 'vitest'
import type { SiteStatus, StreamStatus } from '../../api/status.ts'
import { Pipeline } from './pipeline.svelte.ts'
import { kindOf, problems } from './problems.ts'

const stream = (changes: Partial<StreamStatus> = {}): StreamStatus => ({
  name: 'EVENTS',
  lastSequence: 90,
  messages: 90,
  position: 90,
  lag: 0,
  queues: [],
  ...changes,
})
const site = (changes: Partial<SiteStatus> = {}): SiteStatus => ({
  broker: 'ok',
  streams: [stream()],
  runningJobs: 1,
  parkedStops: 0,
  rejections: 0,
  metricStores: [],
  ...changes,
})
const lagging = (position: number) => site({ streams: [stream({ position, lag: 90 - position })] })
const queued = (waiting: number, inWork: number) => site({ streams: [stream({ queues: [{ name: 'archiver', waiting, inWork }] })] })
const store = (lag: number, expired = 0) =>
  site({
    metricStores: [
      {
        address: 'http://store',
        error: null,
        state: {
          stream: 'METRICS',
          position: 100 - lag,
          lag,
          expired,
          samples: 1,
          samplesPerS: 1,
          series: 1,
          memoryBytes: 1,
          files: 1,
          fileBytes: 1,
          clusters: {},
        },
      },
    ],
  })

describe('a site', () => {
  test.each([
    ['that is quiet', site(), site(), []],
    ['seen for the first time', null, lagging(10), []],
    ['whose reader catches up', lagging(10), lagging(40), []],
    ['whose reader stands still', lagging(40), lagging(40), [/position in EVENTS stands still, 50 messages/]],
    ['whose queue is worked on', queued(9, 0), queued(8, 4), []],
    ['whose queue is not worked on', queued(9, 0), queued(10, 0), [/archiver does not take its work: 10 messages/]],
    ['without its stream', site(), site({ streams: [stream({ messages: null, lag: null, position: null })] }), [/EVENTS does not exist/]],
    ['without its broker', lagging(40), { ...lagging(40), broker: 'the broker is away' }, [/the broker is away/]],
    ['whose metric store is away', site(), site({ metricStores: [{ address: 'http://a', error: 'refused', state: null }] }), [/refused/]],
    ['whose metric store stands still', store(7), store(7), [/stands still, 7 messages/]],
    ['whose samples expired', store(0), store(0, 1), [/^1 message expired/]],
  ])('%s', (_, before, now, found) => {
    const said = problems(before, now)
    expect(said).toHaveLength(found.length)
    found.forEach((pattern, at) => {
      expect(said[at]).toMatch(pattern)
    })
  })
})

test('the last state stays while the gateway does not answer', async () => {
  const answers = [Promise.resolve(site()), Promise.reject(new Error('away')), Promise.resolve(site({ runningJobs: 5 }))]
  const pipeline = new Pipeline({ siteStatus: () => answers.shift() ?? Promise.reject(new Error('too often')) }, () => 1000)
  await pipeline.look()
  await pipeline.look()
  expect([pipeline.failure, pipeline.status?.runningJobs, pipeline.at]).toEqual(['away', 1, 1000])
  await Promise.all([pipeline.look(), pipeline.look()])
  expect([pipeline.failure, pipeline.status?.runningJobs]).toEqual(['', 5])
})

test('the kind of a stream is the end of its name', () => {
  expect([kindOf('EVENTS'), kindOf('SITE_INTAKE'), kindOf('x')]).toEqual(['EVENTS', 'INTAKE', 'x'])
})
