import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { MetricConfig } from '../../api/metrics.ts'
import type { MetricSeries } from '../../api/series.ts'
import { curvesOf, missingOf, sentence } from './curves.ts'
import { JobCurves, type CurvesJob } from './curves.svelte.ts'

const config = (name: string, changes: Partial<MetricConfig> = {}): MetricConfig => ({
  name,
  displayName: null,
  description: null,
  unit: { base: 'W', prefix: '' },
  timestep: 30,
  scope: 'hwthread',
  peak: 100,
  normal: 50,
  caution: 20,
  alert: 0,
  lowerIsBetter: false,
  ...changes,
})

const metric = (name: string, hosts: number, changes: { scope?: string; withLines?: boolean } = {}): MetricSeries => ({
  name,
  scope: changes.scope ?? 'node',
  metric: {
    unit: { base: 'W', prefix: '' },
    timestep: 60,
    series: Array.from({ length: hosts }, (_, host) => ({
      hostname: `f${String(host)}`,
      id: null,
      statistics: { avg: host, min: 0, max: 2 * host },
      ...(changes.withLines === false ? {} : { data: [host, null] }),
    })),
    statisticsSeries: { mean: [1, 2], median: [3, 4], min: [0, 0], max: [9, 9] },
  },
})

describe('the curves of a job', () => {
  test.each([
    [8, true, 8],
    [9, true, 0],
    [2, false, 0],
  ])('%d series, with lines: %s, give %d lines', (hosts, withLines, lines) => {
    const [curve] = curvesOf([metric('power', hosts, { withLines })], [])
    expect(curve?.lines.length).toBe(lines)
    expect(curve?.band?.middle).toEqual(lines ? undefined : [3, 4])
  })

  test('stand in the order of the configuration, at the coarsest scope, with its names and limits', () => {
    const found = [metric('b', 2, { scope: 'core' }), metric('x', 1), metric('b', 1, { scope: 'socket' }), metric('a', 1)]
    const configs = [config('a', { displayName: 'First' }), config('b'), config('gone')]
    const curves = curvesOf(found, configs)
    expect(curves.map(({ title, scope }) => `${title} ${scope}`)).toEqual(['First node', 'b socket', 'x node'])
    expect(curves[0]?.thresholds).toEqual([
      { kind: 'normal', value: 50 },
      { kind: 'caution', value: 20 },
    ])
    expect(missingOf(curves, configs)).toEqual(['gone'])
  })

  test.each([
    [config('p'), 'lowest', 'f0'],
    [config('p', { lowerIsBetter: true }), 'highest', 'f9'],
    [config('p', { alert: 90, caution: 80 }), 'highest', 'f9'],
  ])('%# names the worst hosts', (given, worstIs, host) => {
    const [curve] = curvesOf([metric('p', 10)], [given])
    expect([curve?.worstIs, curve?.worst[0]?.label, curve?.worst.length]).toEqual([worstIs, host, 3])
  })

  test('are said in a sentence', () => {
    const [curve, empty] = curvesOf([metric('p', 3), metric('q', 0)], [config('p')])
    expect(curve && sentence(curve, 7)).toBe('p of job 7: mean 1.00 W, largest 4.00 W, 3 nodes, lowest f0 with a mean of 0 W')
    expect(empty && sentence(empty, 7)).toBe('q of job 7: no samples')
  })
})

describe('the state of the curves', () => {
  const job: CurvesJob = { id: '7', cluster: 'fritz', subCluster: 'main', state: 'running', monitoringStatus: 1, numNodes: 2, numAcc: 0 }
  const jobSeries = vi.fn()
  const metricConfigs = vi.fn()
  const view = () => new JobCurves({ jobSeries, metricConfigs, archivedScopes: () => Promise.resolve([]) })

  beforeEach(() => {
    vi.useFakeTimers()
    jobSeries.mockReset().mockResolvedValue([metric('p', 2)])
    metricConfigs.mockReset().mockResolvedValue([config('p')])
  })

  test('a running job is asked again on its timestep, and its curves stay after a failure', async () => {
    const curves = view()
    await curves.show(job)
    jobSeries.mockRejectedValueOnce(new Error('no store'))
    await vi.advanceTimersByTimeAsync(30_000)
    expect([jobSeries.mock.calls.length, curves.failure, curves.curves.length]).toEqual([2, 'no store', 1])
    await vi.advanceTimersByTimeAsync(60_000)
    expect([jobSeries.mock.calls.length, curves.failure]).toEqual([3, ''])
    curves.close()
    await vi.advanceTimersByTimeAsync(600_000)
    expect(jobSeries).toHaveBeenCalledTimes(3)
  })

  test('a hidden page asks when it is shown', async () => {
    const curves = view()
    await curves.show(job)
    curves.setVisible(false)
    await vi.advanceTimersByTimeAsync(300_000)
    expect(jobSeries).toHaveBeenCalledTimes(1)
    curves.setVisible(true)
    await vi.advanceTimersByTimeAsync(0)
    expect(jobSeries).toHaveBeenCalledTimes(2)
    curves.close()
  })

  test('a change of the row alone asks nothing; the end and the archive do', async () => {
    const curves = view()
    await curves.show(job)
    await curves.show({ ...job })
    expect(jobSeries).toHaveBeenCalledTimes(1)
    await curves.show({ ...job, state: 'completed' })
    await curves.show({ ...job, state: 'completed', monitoringStatus: 3 })
    await vi.advanceTimersByTimeAsync(300_000)
    expect(jobSeries).toHaveBeenCalledTimes(3)
  })

  test('lines are asked for up to eight nodes, and curves do without a configuration', async () => {
    metricConfigs.mockRejectedValue(new Error('no'))
    const curves = view()
    await curves.show({ ...job, numNodes: 9 })
    expect(jobSeries.mock.lastCall?.slice(0, 2)).toEqual(['7', { points: 300, scope: 'node', withLines: false, withBand: true }])
    expect([curves.isLoaded, curves.curves.length, curves.failure]).toEqual([true, 1, ''])
    curves.close()
  })

  test('another job begins without curves', async () => {
    const curves = view()
    await curves.show(job)
    const second = curves.show({ ...job, id: '8' })
    expect(curves.curves.length).toBe(0)
    await second
    expect(curves.curves.length).toBe(1)
    curves.close()
  })
})
