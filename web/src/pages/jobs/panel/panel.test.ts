import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { readFilters, type Filters } from '../filters.ts'
import { fromDraft, toDraft } from './draft.ts'
import { Panel } from './panel.svelte.ts'

const LINK =
  'cluster=fritz&subCluster=main&partition=p&project=iwal&projectMatch=contains&jobName=a b&node=f01&nodeMatch=contains&shared=none' +
  '&schedule=batch&arrayJobId=77&user=ana&userMatch=eq&jobId=12&jobIdMatch=contains&state=failed&tag=1&tagAll=2&tagNone=3&dbId=9' +
  '&startTime=1700000000-0&overlaps=last6h&duration=5400-86400&numNodes=2-8&numHWThreads=lessthan-72&numAccelerators=morethan-4&energy=0.5-2' +
  '&stat=mem_used_max-10-200.5'

const draft = (fields: Record<string, string>) => ({ ...toDraft({}), fields })

test('every filter of a link is in a field and comes back', () => {
  const filters = readFilters(new URLSearchParams(LINK))
  expect(Object.keys(filters)).toHaveLength(LINK.split('&').length)
  expect(fromDraft(toDraft(filters))).toEqual({ filters, problems: {} })
  expect(toDraft(filters).fields).toMatchObject({ 'duration.from': '90m', 'duration.to': '1d' })
})

test.each<[Record<string, string>, Filters]>([
  [
    { user: ' ana, ben ', userMatch: 'eq' },
    { user: ['ana', 'ben'], userMatch: 'eq' },
  ],
  [{ userMatch: 'eq', project: ' ' }, {}],
  [{ startTime: 'between' }, {}],
  [{ startTime: 'last7d', 'startTime.from': 'x' }, { startTime: { range: 'last7d' } }],
  [{ 'stat.m_avg.from': '', 'stat.m_avg.to': '5' }, { stat: [{ name: 'm_avg', from: 0, to: 5 }] }],
])('%j', (fields, filters) => {
  expect(fromDraft(draft(fields))).toEqual({ filters, problems: {} })
})

test.each<[Record<string, string>, string, string]>([
  [{ 'numNodes.from': '2.5' }, 'numNodes.from', 'whole number'],
  [{ 'numNodes.from': '8', 'numNodes.to': '2' }, 'numNodes.to', 'smaller'],
  [{ 'duration.to': 'soon' }, 'duration.to', '1:30'],
  [{ 'energy.from': '-1' }, 'energy.from', 'number'],
  [{ 'stat.m_avg.to': 'much' }, 'stat.m_avg.to', 'number'],
  [{ jobId: '12, x' }, 'jobId', 'number'],
  [{ arrayJobId: '0' }, 'arrayJobId', 'number'],
  [{ startTime: 'between', 'startTime.to': 'x' }, 'startTime.to', 'time'],
])('%j names the field', (fields, name, text) => {
  const { problems } = fromDraft(draft(fields))
  expect(Object.keys(problems)).toEqual([name])
  expect(problems[name]).toContain(text)
})

describe('the number of jobs', () => {
  const jobCount = vi.fn((_filter: unknown, _signal?: AbortSignal) => Promise.resolve(7))
  beforeEach(() => {
    vi.useFakeTimers()
    jobCount.mockClear()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('is asked once after typing, and a request under way is given up', async () => {
    const panel = new Panel({ jobCount })
    panel.open({ cluster: 'fritz' })
    await vi.advanceTimersByTimeAsync(0)
    expect(panel.count).toBe(7)
    const first = jobCount.mock.calls[0]?.[1]
    for (const text of ['n', 'na', 'nam']) panel.set('jobName', text)
    expect(first?.aborted).toBe(true)
    expect(panel.count).toBeNull()
    await vi.advanceTimersByTimeAsync(1000)
    expect(jobCount).toHaveBeenCalledTimes(2)
    expect(jobCount.mock.calls[1]?.[0]).toEqual([{ cluster: { eq: 'fritz' }, jobName: { contains: 'nam' } }])
  })

  test('is not asked while a field is wrong', async () => {
    const panel = new Panel({ jobCount })
    panel.set('numNodes.from', 'x')
    await vi.advanceTimersByTimeAsync(1000)
    expect(panel.isValid).toBe(false)
    expect(jobCount).not.toHaveBeenCalled()
  })

  test('another cluster has other subclusters, and a tag is in one list only', () => {
    const panel = new Panel({ jobCount })
    panel.open({ cluster: 'fritz', subCluster: 'main', tag: ['1'] })
    panel.set('cluster', 'alex')
    panel.tag('1', 'tagNone')
    panel.toggleState('failed')
    expect(panel.filters).toEqual({ cluster: 'alex', tagNone: ['1'], state: ['failed'] })
    panel.close()
  })
})
