import { expect, test, vi } from 'vitest'
import type { MetricConfig } from '../../api/metrics.ts'
import type { NodeRow } from '../../api/nodes.ts'
import type { ClusterPower, ClusterStatus } from '../../api/cluster-status.ts'
import type { SubCluster } from '../../session.ts'
import { powerCurves, powerOf } from './power.ts'
import { StatusState } from './status.svelte.ts'
import { layers, partsNow, total, untilNow } from './summary.ts'

const node = (hostname: string, subCluster: string, schedulerState: string, cpus = 0, gpus = 0): NodeRow => ({
  id: hostname,
  hostname,
  subCluster,
  jobsRunning: 0,
  cpusAllocated: cpus,
  memoryAllocated: 0,
  gpusAllocated: gpus,
  schedulerState,
  healthState: 'full',
})
const POWER = {
  clusterMetrics: { metrics: [{ name: 'node_power', unit: { base: 'W', prefix: null }, timestep: 60, data: [1000, null, 3000] }] },
  nodesNow: [
    { subCluster: 'cpu', metrics: [{ name: 'node_power', value: 400 }] },
    { subCluster: 'cpu', metrics: [{ name: 'node_power', value: 350 }] },
    { subCluster: 'gpu', metrics: [] },
  ],
} as unknown as ClusterPower

test('each subcluster has its nodes in use and free, and what is allocated of all', () => {
  const configured = [
    { name: 'gpu', cores: 64, accelerators: 4 },
    { name: 'cpu', cores: 72, accelerators: 0 },
    { name: 'none', cores: 1, accelerators: 0 },
  ] as SubCluster[]
  const nodes = [node('a', 'cpu', 'allocated', 72), node('b', 'cpu', 'idle'), node('c', 'cpu', 'down'), node('d', 'gpu', 'mixed', 16, 1)]
  const [gpu, cpu, ...rest] = partsNow(nodes, configured, new Map([['cpu', 3]]))
  expect(gpu).toMatchObject({ name: 'gpu', busy: 1, free: 0, jobs: 0, cores: { used: 16, whole: 64 }, gpus: { used: 1, whole: 4 } })
  expect(cpu).toMatchObject({ name: 'cpu', busy: 1, free: 1, other: 1, jobs: 3, cores: { used: 72, whole: 216 } })
  expect(rest).toEqual([])
  expect(total([gpu, cpu].filter((part) => part !== undefined))).toMatchObject({
    busy: 2,
    free: 1,
    other: 1,
    nodes: 4,
    cores: { used: 88, whole: 280 },
  })
})

test('states are stacked, with straight lines between their points', () => {
  const found = [
    { state: 'idle', times: [0, 10], counts: [4, 2] },
    { state: 'down', times: [5, 10], counts: [0, 2] },
  ]
  const { layers: drawn, top } = layers(found, 0, 10)
  expect(top).toBe(4)
  expect(drawn[0]?.points).toBe('0.00,0.00 50.00,25.00 100.00,50.00 100.00,100.00 50.00,100.00 0.00,100.00')
  expect(drawn[1]?.points.startsWith('0.00,0.00 50.00,25.00 100.00,0.00')).toBe(true)
})

test('the end of the states over time are the states of now', () => {
  const found = [
    { state: 'idle', times: [0, 10], counts: [4, 1] },
    { state: 'down', times: [5], counts: [1] },
  ]
  expect(untilNow(found, new Map(Object.entries({ idle: 2, mixed: 1 })), 12)).toEqual([
    { state: 'idle', times: [0, 12], counts: [4, 2] },
    { state: 'down', times: [5, 12], counts: [1, 0] },
    { state: 'mixed', times: [12], counts: [1] },
  ])
})

test('power is summed by subcluster in kW, and over the cluster as a curve', () => {
  const { metric, text } = powerOf(POWER)
  expect([metric, text('cpu'), text('gpu'), text()]).toEqual(['node_power', '0.75', '–', '0.75'])
  expect(powerCurves(POWER, [], 'fritz')[0]).toMatchObject({ mean: 2000, largest: 3000 })
  expect(powerOf(null).metric).toBe('')
})

test('the page asks again soon after changes, and keeps what it shows when that fails', async () => {
  vi.useFakeTimers()
  const status = { nodes: { items: [node('a', 'cpu', 'idle')] } } as unknown as ClusterStatus
  const watts = { name: 'node_power', unit: { base: 'W', prefix: null } } as MetricConfig
  const api = {
    clusterStatus: vi.fn(() => Promise.resolve(status)),
    clusterPower: vi.fn(() => Promise.resolve(POWER)),
    clusterMetricConfigs: vi.fn(() => Promise.resolve([watts, { ...watts, name: 'mem_bw', unit: { base: 'B/s', prefix: 'G' } }])),
  }
  const view = new StatusState(api)
  await view.show('fritz')
  expect(api.clusterPower.mock.calls[0]?.slice(0, 2)).toEqual(['fritz', ['node_power']])
  view.changes([{ kind: 'node', id: 'a', node: { ...node('a', 'cpu', 'down'), cluster: 'fritz' } }])
  expect(view.status?.nodes.items[0]?.schedulerState).toBe('down')
  api.clusterStatus.mockRejectedValueOnce(new Error('away'))
  await vi.advanceTimersByTimeAsync(5000)
  expect([view.failure, view.status?.nodes.items.length, api.clusterStatus.mock.calls.length]).toEqual(['away', 1, 2])
  await vi.advanceTimersByTimeAsync(60_000)
  expect(view.failure).toBe('')
  view.close()
})
