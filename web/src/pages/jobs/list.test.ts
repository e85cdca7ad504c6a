import { beforeEach, describe, expect, test, vi } from 'vitest'
import { job, row } from './list.builders.ts'
import { JobList, MAX_NEWER } from './list.svelte.ts'
import { readList } from './loader.ts'

describe('a list of two running jobs', () => {
  const api = { jobList: vi.fn(() => Promise.resolve({ rows: [row(2), row(1)], count: 2 })), jobCount: vi.fn(() => Promise.resolve(3)) }
  let list: JobList

  beforeEach(async () => {
    vi.useFakeTimers()
    vi.clearAllMocks()
    list = new JobList(api)
    await list.show(readList(new URL('http://site/?state=running')))
  })

  test('changes a row in place and leaves the others as they are', () => {
    const other = list.rows[1]
    list.changes([job(2, { jobState: 'completed', footprint: { mem_used_max: 7 } })])
    expect(list.rows[0]).toMatchObject({ state: 'completed', walltime: 0, footprint: [{ name: 'mem_used', stat: 'max', value: 7 }] })
    expect(list.rows[1]).toBe(other)
  })

  test('counts a new job once, and none that the filter leaves out or that started earlier', () => {
    list.changes([job(3), job(4, { jobState: 'failed' }), job(0)])
    list.changes([job(3)])
    expect(list.newer).toBe(1)
  })

  test('counts new jobs up to a bound, since it may be open all day', () => {
    for (let first = 0; first < 3; first++) list.changes(Array.from({ length: 500 }, (_, index) => job(100 + 500 * first + index)))
    expect(list.newer).toBe(MAX_NEWER)
  })

  test('counts no job as new that only the gateway can compare with the filter', async () => {
    await list.show(readList(new URL('http://site/?jobName=lammps')))
    list.changes([job(3)])
    expect(list.newer).toBe(0)
  })

  test('applies changes that arrive during a request to its answer, which may be older', async () => {
    const answer = list.load()
    list.changes([job(2, { jobState: 'completed' }), job(3)])
    await answer
    expect(list.rows[0]).toMatchObject({ id: '2', state: 'completed' })
    expect(list.newer).toBe(1)
  })

  test('counts again once, ten seconds after the first of many changes', async () => {
    for (const id of [3, 4, 5]) list.changes([job(id)])
    await vi.advanceTimersByTimeAsync(10_000)
    expect(api.jobCount).toHaveBeenCalledTimes(1)
    expect(list.count).toBe(3)
  })

  test('marks a deleted row and keeps it', () => {
    list.changes([{ kind: 'job_deleted', id: '1' }])
    expect(list.rows).toHaveLength(2)
    expect(list.deleted.has('1')).toBe(true)
  })

  test('keeps the rows when the gateway cannot be reached', async () => {
    api.jobList.mockRejectedValueOnce(new Error('the gateway cannot be reached'))
    await list.load()
    expect(list.failure).toBe('the gateway cannot be reached')
    expect(list.rows).toHaveLength(2)
  })

  test('follows new jobs with one request for those of two seconds, if that is wanted', async () => {
    await list.show({ ...list.state, follow: true })
    expect(api.jobList).toHaveBeenCalledTimes(1)
    list.changes([job(3)])
    list.changes([job(4), job(5)])
    await vi.advanceTimersByTimeAsync(2000)
    expect(api.jobList).toHaveBeenCalledTimes(2)
    expect(list.newer).toBe(0)
  })

  test('shows the jobs that were counted when it begins to follow', async () => {
    list.changes([job(3)])
    await list.show({ ...list.state, follow: true })
    expect(api.jobList).toHaveBeenCalledTimes(2)
  })

  test('knows that its rows are those of the filter before, while it asks and after a failure', async () => {
    const answer = list.show(readList(new URL('http://site/?state=failed')))
    expect(list.isOutdated).toBe(true)
    await answer
    expect(list.isOutdated).toBe(false)
    api.jobList.mockRejectedValueOnce(new Error('the gateway cannot be reached'))
    await list.show(readList(new URL('http://site/?state=timeout')))
    expect(list.isOutdated).toBe(true)
  })

  test('asks nothing for another view of the same rows', async () => {
    await list.show({ ...list.state, view: 'plots' })
    expect(api.jobList).toHaveBeenCalledTimes(1)
  })

  test('asks once more after a request that was under way', async () => {
    void list.reload()
    await list.reload()
    await vi.advanceTimersByTimeAsync(0)
    expect(api.jobList).toHaveBeenCalledTimes(3)
  })
})
