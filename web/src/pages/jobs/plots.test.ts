import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { Band } from '../../api/bands.ts'
import type { Metric, MetricConfig } from '../../api/metrics.ts'
import { shownMetrics } from './metric-choice.svelte.ts'
import { cellsOf, sentence, summary, valueAt } from './plots.ts'
import { JobPlots, type PlotsJob } from './plots.svelte.ts'

vi.mock('../../session.ts', () => ({ session: { settings: {} } }))

const band = (name: string, changes: Partial<Band> = {}): Band => ({
  name,
  scope: 'node',
  unit: { base: 'B/s', prefix: 'G' },
  timestep: 60,
  min: [1, null, 2],
  median: [2, null, 4],
  max: [3, null, 4000],
  ...changes,
})
const known = new Map([['mem_bw', { name: 'mem_bw', displayName: 'Memory bandwidth', unit: { base: 'B/s', prefix: 'G' } } as Metric]])
const config = { name: 'mem_bw', timestep: 60, normal: 100, caution: 50, alert: 0 } as MetricConfig

describe('the cells of a job', () => {
  const cells = cellsOf({ state: 'completed', duration: 240 }, ['mem_bw', 'ipc'], [band('mem_bw')], known, [config])
  const [bandwidth, missing] = cells as [(typeof cells)[0], (typeof cells)[0]]

  test('have the mean of the medians, the largest value and the configured limits', () => {
    expect(bandwidth).toMatchObject({ title: 'Memory bandwidth', mean: 3, largest: 4000 })
    expect(bandwidth.spark).toMatchObject({
      until: 240,
      thresholds: [
        { kind: 'normal', value: 100 },
        { kind: 'caution', value: 50 },
      ],
    })
    expect(summary(bandwidth)).toBe('0.003 · 4.00 TB/s')
    expect(sentence(bandwidth, 7)).toBe('Memory bandwidth of job 7: mean 3.00 GB/s, largest 4.00 TB/s')
  })

  test('without samples have no plot', () => {
    expect(missing.spark).toBeNull()
    expect(sentence(missing, 7)).toBe('ipc of job 7: no samples')
  })

  test('tell the value at a time, and where there is none', () => {
    expect(valueAt(bandwidth, 0)).toBe('0.001 … 0.002 … 0.003 TB/s')
    expect(valueAt(bandwidth, 0.3)).toBe('–')
    expect(valueAt(bandwidth, 0.99)).toBe('–')
  })
})

test.each<[unknown, string[]]>([
  [undefined, ['cpu_load', 'mem_bw', 'a', 'b', 'c', 'd']],
  [
    ['b', 'gone', 'cpu_load'],
    ['b', 'cpu_load'],
  ],
  [['gone'], ['cpu_load', 'mem_bw', 'a', 'b', 'c', 'd']],
  ['b', ['cpu_load', 'mem_bw', 'a', 'b', 'c', 'd']],
])('the choice %j shows %j', (chosen, names) => {
  const all = ['a', 'b', 'c', 'cpu_load', 'd', 'e', 'mem_bw'].map((name) => ({ name }))
  expect(shownMetrics(all, chosen)).toEqual(names)
})

describe('the plots of three jobs', () => {
  const job = (id: string, state = 'completed'): PlotsJob => ({ id, cluster: 'fritz', subCluster: 'main', state, monitoringStatus: 1 })
  const api = {
    jobsBands: vi.fn((ids: string[]) => Promise.resolve(new Map(ids.map((id) => [id, [band('mem_bw')]])))),
    metricConfigs: vi.fn(() => Promise.resolve([config])),
  }
  let plots: JobPlots
  const asked = () => api.jobsBands.mock.calls.map(([ids]) => ids.join())

  beforeEach(() => {
    vi.useFakeTimers()
    vi.clearAllMocks()
    plots = new JobPlots(api)
    plots.show([job('1', 'running'), job('2'), job('3')], ['mem_bw'])
  })

  test('are asked in one request for the jobs near the view, and once', async () => {
    plots.near('1', true)
    plots.near('2', true)
    await vi.advanceTimersByTimeAsync(100)
    plots.near('2', false)
    plots.near('2', true)
    plots.near('3', true)
    await vi.advanceTimersByTimeAsync(100)
    expect(asked()).toEqual(['1,2', '3'])
    expect([...plots.bands.keys()]).toEqual(['1', '2', '3'])
    expect(api.metricConfigs).toHaveBeenCalledTimes(1)
  })

  test('of running jobs in view are asked again after a timestep, and in a hidden tab when it is shown', async () => {
    for (const id of ['1', '2']) plots.near(id, true)
    await vi.advanceTimersByTimeAsync(60_200)
    expect(asked()).toEqual(['1,2', '1'])
    plots.setVisible(false)
    await vi.advanceTimersByTimeAsync(300_000)
    expect(asked()).toHaveLength(2)
    plots.setVisible(true)
    await vi.advanceTimersByTimeAsync(100)
    expect(asked()).toEqual(['1,2', '1', '1'])
  })

  test('are asked again when the job has ended, and for other metrics', async () => {
    plots.near('1', true)
    await vi.advanceTimersByTimeAsync(100)
    plots.show([job('1')], ['mem_bw'])
    await vi.advanceTimersByTimeAsync(100)
    plots.show([job('1')], ['mem_bw', 'ipc'])
    await vi.advanceTimersByTimeAsync(100)
    expect(asked()).toEqual(['1', '1', '1'])
  })

  test('stay when the gateway cannot be reached, and are asked again after a timestep', async () => {
    plots.near('2', true)
    await vi.advanceTimersByTimeAsync(100)
    api.jobsBands.mockRejectedValueOnce(new Error('the gateway cannot be reached'))
    plots.near('3', true)
    await vi.advanceTimersByTimeAsync(1000)
    expect(plots.failure).toBe('the gateway cannot be reached')
    expect([...plots.bands.keys()]).toEqual(['2'])
    expect(asked()).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(60_000)
    expect([...plots.bands.keys()]).toEqual(['2', '3'])
    expect(plots.failure).toBe('')
  })
})
