import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest'
import type { ListedNode } from '../../api/node-list.ts'
import type { Change } from '../../live/protocol.ts'
import { NodeList } from './list.svelte.ts'
import { nodeListAddress, readNodeList } from './loader.ts'
import { sparksOf } from './sparks.ts'

const at = (query: string, part = '') => readNodeList(new URL(`http://site/x${query}`), part)
const node = (host: string): ListedNode => ({ host, subCluster: 'main', nodeState: 'idle', metricHealth: 'full', metrics: [] })
const reported = (hostname: string, schedulerState: string) =>
  ({ kind: 'node', id: '1', node: { hostname, cluster: 'fritz', schedulerState, healthState: 'full' } }) as unknown as Change

describe('address', () => {
  it.each(['', '?state=down&host=f01&last=24h&page=3&rows=50'])('of %s', (query) => {
    expect(nodeListAddress('a b', at(query, 'x/y'))).toBe(`monitoring/systems/list/a%20b/x%2Fy${query}`)
  })

  it('passes over what it does not know', () => {
    expect(nodeListAddress('fritz', at('?last=9y&page=0&rows=7'))).toBe('monitoring/systems/list/fritz')
  })
})

describe('the list', () => {
  const api = { nodeList: vi.fn(), runningJobs: vi.fn() }
  beforeEach(() => {
    vi.useFakeTimers()
    api.nodeList.mockReset().mockResolvedValue({ nodes: [node('f1'), node('f2')], count: 2 })
    api.runningJobs.mockReset().mockResolvedValue([])
  })
  afterEach(() => vi.useRealTimers())

  it('changes states in place, and asks again soon when they are filtered', async () => {
    const list = new NodeList(api, () => 7200_000)
    await list.show('fritz', at('?state=idle'), ['cpu_load'])
    expect(api.nodeList.mock.calls[0]?.[0]).toMatchObject({
      state: 'idle',
      from: '1970-01-01T01:00:00.000Z',
      to: '1970-01-01T02:00:00.000Z',
    })
    list.changes([reported('f2', 'down'), reported('other', 'down')])
    expect(list.nodes.map(({ nodeState }) => nodeState)).toEqual(['idle', 'down'])
    await vi.advanceTimersByTimeAsync(2500)
    expect(api.nodeList).toHaveBeenCalledTimes(2)
    list.close()
  })

  it('keeps its nodes while and after a request fails, and tries again', async () => {
    const list = new NodeList(api)
    await list.show('fritz', at(''), [])
    api.nodeList.mockRejectedValueOnce(new Error('away'))
    await vi.advanceTimersByTimeAsync(60_000)
    expect([list.nodes.length, list.failure]).toEqual([2, 'away'])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(list.failure).toBe('')
    list.close()
  })
})

test('plots stand on the axis of the window, and metrics without samples say so', () => {
  const series = { min: [1, null], median: [1, null], max: [3, null] }
  const metric = { unit: { base: 'B', prefix: 'G' }, timestep: 60, statisticsSeries: series }
  const found = sparksOf({ ...node('f1'), metrics: [{ name: 'mem', metric }] }, ['mem', 'load'], 3600, new Map(), [])
  expect(found).toMatchObject([
    { spark: { timestep: 60, until: 3600 }, newest: '1.00 GB', sentence: 'mem of f1: mean 1.00 GB, largest 3.00 GB' },
    { spark: null, sentence: 'load of f1: no samples' },
  ])
})
