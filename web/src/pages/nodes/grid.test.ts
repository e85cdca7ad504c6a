import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { MetricConfig } from '../../api/metrics.ts'
import type { NodeRow, RunningJob } from '../../api/nodes.ts'
import type { JobEvent, NodeEvent } from '../../live/protocol.ts'
import { NodeGrid } from './grid.svelte.ts'
import { gridAddress, readGrid } from './loader.ts'
import { counts, fits, scaleOf, valueLook } from './look.ts'

const node = (hostname: string, schedulerState = 'idle'): NodeRow => ({
  id: hostname,
  hostname,
  subCluster: 'main',
  jobsRunning: 0,
  cpusAllocated: 0,
  memoryAllocated: 0,
  gpusAllocated: 0,
  schedulerState,
  healthState: 'full',
})
const nodeEvent = (hostname: string, schedulerState: string, cluster = 'fritz') => {
  const event: NodeEvent = { ...node(hostname, schedulerState), cluster }
  return { kind: 'node', id: hostname, node: event } as const
}
const job = (id: string, ...hosts: string[]): RunningJob => ({ id, jobId: 1, jobName: null, user: 'ana', startTime: '', hosts })
const jobEvent = (id: number, jobState: string, ...hosts: string[]) => {
  const resources = hosts.map((hostname) => ({ hostname }))
  return {
    kind: 'job',
    id: String(id),
    job: { id, jobId: 1, cluster: 'fritz', user: 'ana', startTime: 0, jobState, resources } as JobEvent,
  } as const
}

describe('the grid of a cluster', () => {
  const metric = { name: 'cpu_load', peak: 72, timestep: 30, unit: { base: '', prefix: null } } as MetricConfig
  const api = {
    nodesOfCluster: vi.fn(() => Promise.resolve([node('a1'), node('a2', 'allocated')])),
    nodeValues: vi.fn(() => Promise.resolve(new Map([['a1', 36]]))),
    runningJobs: vi.fn(() => Promise.resolve([job('7', 'a2')])),
    clusterMetricConfigs: vi.fn(() => Promise.resolve([metric])),
  }
  let grid: NodeGrid

  beforeEach(async () => {
    vi.useFakeTimers()
    vi.clearAllMocks()
    grid = new NodeGrid(api)
    await grid.show('fritz', 'state')
  })

  test('follows the states of its nodes, and of no other cluster', () => {
    grid.changes([nodeEvent('a1', 'down'), nodeEvent('a2', 'down', 'alex')])
    expect(grid.nodes.map(({ schedulerState }) => schedulerState)).toEqual(['down', 'allocated'])
    expect(api.nodesOfCluster).toHaveBeenCalledTimes(1)
  })

  test('loads all nodes when one is reported for the first time', () => {
    grid.changes([nodeEvent('a3', 'idle')])
    expect(api.nodesOfCluster).toHaveBeenCalledTimes(2)
  })

  test('knows the jobs of a node, with those that start and without those that end', () => {
    grid.changes([jobEvent(8, 'running', 'a1', 'a2'), jobEvent(8, 'running', 'a1', 'a2')])
    expect(grid.jobs.map(({ id }) => id)).toEqual(['8', '7'])
    expect(grid.jobsOf.get('a2')?.map(({ id }) => id)).toEqual(['8', '7'])
    grid.changes([jobEvent(7, 'completed', 'a2'), { kind: 'job_deleted', id: '8' }])
    expect(grid.jobs).toEqual([])
  })

  test('asks for the values of a metric again after its timestep, and keeps them when that fails', async () => {
    await grid.show('fritz', 'cpu_load')
    api.nodeValues.mockRejectedValueOnce(new Error('away'))
    await vi.advanceTimersByTimeAsync(30_000)
    expect(api.nodeValues).toHaveBeenCalledTimes(2)
    expect([grid.valuesFailure, grid.values.get('a1')]).toEqual(['away', 36])
    await vi.advanceTimersByTimeAsync(30_000)
    expect(grid.valuesFailure).toBe('')
    grid.close()
  })
})

test('values are shown on a scale up to the peak, or up to the largest value', () => {
  const scale = scaleOf([36, 70], 72, { base: '', prefix: null })
  expect([0, 36, 72, 99, -1].map((value) => valueLook(value, scale).mark)).toEqual(['0', '5', '9', '9', '0'])
  expect(valueLook(undefined, scale)).toMatchObject({ tone: 'none', mark: '–' })
  expect(scaleOf([90], 72, scale.unit).top).toBe(90)
})

test('states are counted in the order of the legend, words that are not in it last', () => {
  expect(counts([node('a', 'drained'), node('b', 'down'), node('c'), node('d')], 'state')).toEqual([
    ['idle', 2],
    ['down', 1],
    ['drained', 1],
  ])
})

test('an address has what is not the default, and filters nodes by state and part of the name', () => {
  const address = gridAddress('a b', { by: 'cpu_load', states: ['idle', 'down'], host: 'F01' })
  expect(address).toBe('monitoring/systems/a%20b?state=idle&state=down&by=cpu_load&host=F01')
  const { states, host } = readGrid(new URL(address, 'http://site/'))
  expect([node('f0101'), node('f0101', 'mixed'), node('f02')].map((one) => fits(one, states, host))).toEqual([true, false, false])
  expect(gridAddress('fritz', readGrid(new URL('http://site/')))).toBe('monitoring/systems/fritz')
})
