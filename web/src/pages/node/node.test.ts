import { beforeEach, describe, expect, test, vi } from 'vitest'
import { ApiError } from '../../api/graphql.ts'
import type { NodeJob, NodeView } from '../../api/node.ts'
import type { MetricSeries } from '../../api/series.ts'
import type { JobEvent } from '../../live/protocol.ts'
import { NodeState } from './node.svelte.ts'
import { bars, marks, phases, place } from './timeline.ts'

const WINDOW = { from: 1000, to: 2000 }
const job = (id: string, start: number, duration: number, state = 'completed'): NodeJob => ({
  id,
  jobId: Number(id),
  jobName: null,
  user: 'ana',
  state,
  startTime: new Date(start * 1000).toISOString(),
  duration,
  numNodes: 1,
})

describe('the time line', () => {
  test('a state holds until the next record, equal ones are one phase, the last one holds to the end', () => {
    const records = [
      { time: 500, state: 'idle' },
      { time: 1200, state: 'idle' },
      { time: 1500, state: 'down' },
    ]
    expect(phases(records, WINDOW)).toEqual([
      { state: 'idle', from: 1000, to: 1500 },
      { state: 'down', from: 1500, to: 2000 },
    ])
    expect(phases([], WINDOW)).toEqual([])
  })

  test('jobs that ran at the same time have lanes of their own, later ones take free lanes', () => {
    const found = bars([job('3', 1600, 0, 'running'), job('2', 1100, 600), job('1', 900, 300)], WINDOW)
    expect(found.map(({ job, lane, from, to }) => [job.id, lane, from, to])).toEqual([
      ['1', 0, 1000, 1200],
      ['2', 1, 1100, 1700],
      ['3', 0, 1600, 2000],
    ])
  })

  test('a bar is cut to the part that is shown', () => {
    expect(place({ from: 900, to: 1500 }, WINDOW)).toEqual({ left: 0, width: 50 })
    expect(place({ from: 2000, to: 2500 }, WINDOW)).toBeNull()
  })

  test('marks stand at round times of the zone', () => {
    expect(marks({ from: 3700, to: 3700 + 4 * 3600 }, 1800)).toEqual([5400, 9000, 12_600, 16_200])
  })
})

describe('the page of a node', () => {
  const view = { node: { subCluster: 'main' }, states: [], health: [], jobs: [], jobCount: 0 } as unknown as NodeView
  const api = {
    nodeView: vi.fn(() => Promise.resolve(view)),
    nodeSeries: vi.fn(() => Promise.resolve([] as MetricSeries[])),
    metricConfigs: vi.fn(() => Promise.resolve([])),
  }
  const change = (host: string) => {
    const job = { id: 1, cluster: 'fritz', jobState: 'running', resources: [{ hostname: host }] } as JobEvent
    return { kind: 'job', id: '1', job } as const
  }
  let node: NodeState

  beforeEach(async () => {
    vi.useFakeTimers()
    vi.clearAllMocks()
    node = new NodeState(api)
    await node.show('fritz', 'f1', '1h')
  })

  test('asks for the window that was chosen, and again every minute', async () => {
    expect(node.window.to - node.window.from).toBe(3600)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(api.nodeView).toHaveBeenCalledTimes(2)
    node.close()
  })

  test('asks once soon after changes of its jobs, and not for those of other nodes', async () => {
    node.changes([change('f2')])
    await vi.advanceTimersByTimeAsync(2000)
    expect(api.nodeView).toHaveBeenCalledTimes(1)
    node.changes([change('f1')])
    node.changes([change('f1')])
    await vi.advanceTimersByTimeAsync(2000)
    expect(api.nodeView).toHaveBeenCalledTimes(2)
    node.close()
  })

  test('shows the node when its metrics cannot be read, and says when there is no such node', async () => {
    api.nodeSeries.mockRejectedValueOnce(new Error('the metric store is away'))
    await node.load()
    expect([node.view, node.curvesFailure, node.failure]).toEqual([view, 'the metric store is away', ''])
    api.nodeView.mockRejectedValueOnce(new ApiError(404, 'there is no such node'))
    await node.load()
    expect(node.isMissing).toBe(true)
    node.close()
  })
})
