import { describe, expect, test } from 'vitest'
import type { ClusterStatus, ServiceStatus, SiteStatus, StreamStatus } from '../../api/status.ts'
import { Pipeline } from './pipeline.svelte.ts'
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
  services: [],
  clusters: [],
  live: null,
  ...changes,
})
const heard = (...services: Partial<ServiceStatus>[]) =>
  site({
    services: services.map((one) => ({
      service: 'archiver',
      process: 'a:1',
      state: 'ready',
      isCertain: true,
      ageS: 1,
      started: 1,
      problems: {},
      ...one,
    })),
  })
const cluster = (changes: Partial<ClusterStatus>): ClusterStatus => ({
  name: 'alex',
  lastJob: null,
  lastNodes: Date.now() / 1000 - 8000,
  isSilent: false,
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
    ['whose services are ready', null, heard({}, { service: 'ingest' }), []],
    [
      'with a failing check',
      null,
      heard({ state: 'unready', problems: { archive: 'disk full' } }),
      [/archiver \(a:1\).* archive: disk full/],
    ],
    ['with a remark', null, heard({ problems: { rules: 'older' } }), []],
    ['with a silent service', null, heard({ state: 'silent', ageS: 95 }), [/archiver .* for 95 s/]],
    ['with one process of two silent', null, heard({ state: 'silent', ageS: 95 }, { process: 'b:1' }), []],
    ['with one process of two unready', null, heard({ state: 'unready', problems: { store: 'no' } }, { process: 'b:1' }), [/store: no/]],
    ['whose gateway just began to listen', null, heard({ state: 'unheard', process: null, ageS: null, isCertain: false }), []],
    ['without an archiver', null, heard({ state: 'unheard', process: null, ageS: null }), [/No process of archiver/]],
    ['with a silent cluster', null, site({ clusters: [cluster({ isSilent: true })] }), [/alex .*2 h/]],
    ['with a cluster that nobody reports', null, site({ clusters: [cluster({ lastNodes: null })] }), []],
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
