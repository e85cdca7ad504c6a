import { beforeEach, describe, expect, test, vi } from 'vitest'
import { JobCurves } from './curves.svelte.ts'
import { config, metric } from './made.ts'
import type { CurvesJob } from './wishes.ts'

describe('the state of the curves', () => {
  const startTime = new Date(Date.now() - 600_000).toISOString()
  const job: CurvesJob = {
    id: '7',
    startTime,
    cluster: 'fritz',
    subCluster: 'main',
    state: 'running',
    monitoringStatus: 1,
    numNodes: 2,
    numAcc: 0,
  }
  const jobSeries = vi.fn()
  const metricConfigs = vi.fn()
  const newSeries = vi.fn()
  const view = () => new JobCurves({ jobSeries, newSeries, metricConfigs, archivedScopes: () => Promise.resolve([]) })

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
    await vi.advanceTimersByTimeAsync(30_000)
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

  test('a job that runs for long takes only what is new, in one request', async () => {
    const long = (from: number, values: number[]) => {
      const made = metric('p', 2, { withLines: false })
      const band = { mean: values, median: values, min: values, max: values }
      return { ...made, metric: { ...made.metric, timestep: 30, from, statisticsSeries: band } }
    }
    jobSeries.mockResolvedValue([long(0, Array<number>(20).fill(1))])
    newSeries.mockResolvedValueOnce({ curves: [long(540, [2, 3, 4])], details: [] })
    newSeries.mockResolvedValueOnce({
      curves: [{ ...long(480, [2, 3, 4]), metric: { ...long(0, [2]).metric, timestep: 60 } }],
      details: [],
    })
    const curves = view()
    await curves.show({ ...job, numNodes: 9 })
    await vi.advanceTimersByTimeAsync(30_000)
    expect(newSeries.mock.lastCall?.[1]).toEqual({ points: 300, scope: 'node', withLines: false, withBand: true, from: 540, details: [] })
    expect(curves.curves[0]?.band?.middle.slice(16)).toEqual([1, 1, 2, 3, 4])
    expect(jobSeries).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(30_000)
    expect([newSeries.mock.calls.length, jobSeries.mock.calls.length]).toEqual([2, 2]) // its buckets have become longer
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
