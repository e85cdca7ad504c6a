import { describe, expect, test } from 'vitest'
import type { SiteStatus, StreamStatus } from '../../api/status.ts'
import { Pipeline } from './pipeline.svelte.ts'
import { about, fill } from './fill.ts'
import { kindOf, problems } from './problems.ts'

const stream = (changes: Partial<StreamStatus> = {}): StreamStatus => ({
  name: 'EVENTS',
  lastSequence: 90,
  messages: 90,
  position: 90,
  lag: 0,
  sizeBytes: 3.2e9,
  maxBytes: null,
  refusesWhenFull: false,
  oldest: null,
  maxAgeS: null,
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
const queued = (waiting: number, inWork: number) =>
  site({ streams: [stream({ queues: [{ name: 'archiver', waiting, inWork, unreadS: null }] })] })
const unread = (unreadS: number) =>
  site({ streams: [stream({ name: 'INTAKE', maxAgeS: 86_400, queues: [{ name: 'ingest', waiting: 0, inWork: 5, unreadS }] })] })
const filled = (name: string, sizeBytes: number, refusesWhenFull: boolean) =>
  site({ streams: [stream({ name, sizeBytes, maxBytes: 1e10, refusesWhenFull })] })
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
    ['whose oldest raw message is young', null, unread(43_000), []],
    ['whose raw messages expire soon', null, unread(44_000), [/ingest .* 12 h .* expire after 24 h/]],
    ['with a stream that has room', null, filled('EVENTS', 8.9e9, true), []],
    ['with a stream that will refuse', null, filled('SITE_INTAKE', 9.1e9, true), [/SITE_INTAKE .*91 %.* refuse/]],
    ['with a log that will lose its begin', null, filled('EVENTS', 9.1e9, false), [/EVENTS .*91 %.* oldest/]],
    ['with a ring of samples', null, filled('METRICS', 1e10, false), []],
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

test.each([
  [
    stream({ name: 'INTAKE', sizeBytes: 3.2e9, maxBytes: 1e10, oldest: 1000, maxAgeS: 2_592_000 }),
    'Keeps 3.20 GB of 10.0 GB (32 %). The oldest message is 4 h old; messages leave after 30 days.',
  ],
  [
    stream({ sizeBytes: 812, oldest: 15_340 }),
    'Keeps 812 B, without a limit of its own. The oldest message is 60 s old; messages stay forever.',
  ],
  [
    stream({ sizeBytes: 8.5e6, maxBytes: 4.29e9, oldest: 15_340, maxAgeS: 21_600 }),
    'Keeps 8.50 MB of 4.29 GB (less than 1 %). The oldest message is 60 s old; messages leave after 6 h.',
  ],
  [stream({ sizeBytes: 0, messages: 0 }), 'Is empty.'],
  [stream({ sizeBytes: null, messages: null }), ''],
])('a stream says how full it is', (given, said) => {
  expect(fill(given, 15_400_000)).toBe(said)
})

test.each([
  [59, '59 s'],
  [60, '60 s'],
  [119, '119 s'],
  [120, '2 min'],
  [7199, '120 min'],
  [7200, '2 h'],
  [172_799, '48 h'],
  [172_800, '2 days'],
])('an age of %d s is about %s', (seconds, said) => {
  expect(about(seconds)).toBe(said)
})

test('the kind of a stream is the end of its name', () => {
  expect([kindOf('EVENTS'), kindOf('SITE_INTAKE'), kindOf('x')]).toEqual(['EVENTS', 'INTAKE', 'x'])
})
