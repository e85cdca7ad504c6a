import { describe, expect, test, vi } from 'vitest'
import type { Overview, Rejection, RejectionFilter } from '../../api/rejections.ts'
import { Inbox } from './inbox.svelte.ts'
import { asFilter, inboxAddress, readInbox } from './loader.ts'
import { marked, markedTag } from './marked.ts'
import { Replay } from './replay.svelte.ts'

describe('the field at fault', () => {
  test.each([
    ['{"jobId":1,"cluster":"fresh","x":2}', 'cluster', '"cluster":"fresh"'],
    ['{ "a" : {"cluster":1}, "cluster" : null }', 'cluster', '"cluster" : null'],
    ['{"resources":[{"hostname":"a"},{"hostname":"b}","n":[1,2]}]}', 'resources.1.hostname', '"hostname":"b}"'],
    ['{"resources":[{"hostname":"a"},null]}', 'resources.1', 'null'],
    ['{"say \\"x\\"":[1,{"y":[]}],"z":1}', 'say "x"', '"say \\"x\\"":[1,{"y":[]}]'],
    ['{"open":"never closed', 'open', '"open":"never closed'],
    ['{"a":1', 'b', null],
    ['[{"a":1}]', '0.a', '"a":1'],
    ['no JSON', 'a', null],
    ['{"a" 1}', 'a', null],
  ])('of %s, %s is %s', (text, field, mark) => {
    const found = marked(text, field)
    expect(found?.mark ?? null).toBe(mark)
    if (found) expect(found.before + found.mark + found.after).toBe(text)
  })

  test('is a tag of the line where the payload has none', () => {
    expect(markedTag('job,function=begin_job,hostname=h event="{}"', 'function')?.mark).toBe('function=begin_job')
    expect(markedTag('job event="{}"', 'function')).toBeNull()
  })
})

test('an address holds the state of the inbox', () => {
  for (const query of ['', 'code=unknown_cluster', 'cluster=', 'code=a&cluster=b+c&since=24h&page=3&rows=50&open=REJECTIONS-17']) {
    const path = `monitoring/rejections/${query ? `?${query}` : ''}`
    expect(inboxAddress(readInbox(new URL(path, 'http://site/')))).toBe(path)
  }
  const wrong = readInbox(new URL('http://site/?since=x&page=-1&rows=7&open=%3Cb%3E'))
  expect(inboxAddress(wrong)).toBe('monitoring/rejections/')
  expect(asFilter({ ...wrong, cluster: '' }, 3_000_000_000)).toEqual({ cluster: '', since: 408_000 })
})

const overview = (count: number, next: string): Overview => ({ count, groups: [], reasons: [], since: 0, barSeconds: 1, next })

test('new rejections are counted once and wait for a click', async () => {
  vi.useFakeTimers()
  let count = 2
  const asked: RejectionFilter[] = []
  const rejectionOverview = vi.fn((filter: RejectionFilter) => {
    asked.push(filter)
    return Promise.resolve(overview(filter.after ? count - 2 : count, `0-${String(count)}`))
  })
  const inbox = new Inbox({
    rejectionOverview,
    dismiss: () => Promise.reject(new Error('not dismissed')),
    rejectionList: () => Promise.resolve([{ code: 'internal' } as Rejection]),
    rejectionDetail: () => Promise.reject(new Error('not opened')),
  })
  await inbox.show(readInbox(new URL('http://site/?code=internal')))
  expect([inbox.overview?.count, inbox.newer, inbox.rows.length]).toEqual([2, 0, 1])
  count = 5
  for (let again = 0; again < 3; again += 1) inbox.changes([{ kind: 'rejections', id: 'rejections', counts: { internal: 5 } }])
  inbox.changes([{ kind: 'job_deleted', id: '1' }])
  await vi.runAllTimersAsync()
  expect([asked.length, asked.at(-1)?.after, inbox.newer, inbox.overview?.count]).toEqual([2, '0-2', 3, 2])
  await inbox.load()
  expect([inbox.newer, inbox.overview?.count]).toEqual([0, 5])
  vi.useRealTimers()
})

test('what is dismissed leaves the list after the last request', async () => {
  const asked: string[] = []
  let count = 1500
  const inbox = new Inbox({
    rejectionOverview: () => Promise.resolve(overview(count, '0-9')),
    rejectionList: () => Promise.resolve([]),
    rejectionDetail: () => Promise.reject(new Error('not opened')),
    dismiss: (what) => {
      asked.push(JSON.stringify(what))
      count = Math.max(0, count - 1000)
      return Promise.resolve({ hasMore: count > 0 })
    },
  })
  await inbox.show(readInbox(new URL('http://site/')))
  await inbox.dismiss({ place: 'EVENTS-1' })
  expect([asked, inbox.overview?.count, inbox.failure]).toEqual([[...Array(2)].map(() => '{"place":"EVENTS-1"}'), 0, ''])
})

test('a replay goes on until the last message and says what became of them', async () => {
  const answers = [
    { published: 1000, expired: 1, last: 1500, hasMore: true, before: '7-9' },
    { published: 10, expired: 0, last: 1600, hasMore: false, before: '7-12' },
  ]
  const states = [
    { waiting: 901, refused: 0 },
    { waiting: 1, refused: 0 },
    { waiting: 1, refused: 4 },
    { waiting: 1, refused: 4 },
  ]
  const group = { code: 'unknown_cluster', cluster: 'fresh', count: 2000, replayable: 1800, newest: 0, bars: [] }
  const rejectionOverview = vi.fn((_: RejectionFilter) => Promise.resolve({ groups: [group] }))
  const replay = vi.fn(() => Promise.resolve(answers.shift() ?? Promise.reject(new Error('too often'))))
  const replayed = vi.fn(() => Promise.resolve(states.shift() ?? Promise.reject(new Error('too often'))))
  const run = new Replay(
    { code: 'unknown_cluster', cluster: 'fresh' },
    { rejectionOverview, replay, replayed, pause: () => Promise.resolve() },
  )
  await run.prepare()
  expect([run.count, rejectionOverview.mock.lastCall]).toEqual([1800, [{ code: 'unknown_cluster', cluster: 'fresh', since: 0 }]])
  await run.run()
  expect(replay.mock.calls).toEqual([
    [{ code: 'unknown_cluster', cluster: 'fresh' }],
    [{ code: 'unknown_cluster', cluster: 'fresh', after: 1500 }],
  ])
  expect(replayed.mock.lastCall).toEqual([{ code: 'unknown_cluster', cluster: 'fresh', until: 1600 }, '7-9'])
  expect([run.failure, run.outcome]).toEqual(['', { published: 1010, took: 1006, refused: 4, waiting: 0, expired: 1 }])
})

test('a replay of one message names its sequence; a failure is shown', async () => {
  const unused = { rejectionOverview: vi.fn(), replayed: vi.fn() }
  const replay = vi.fn(() => Promise.reject(new Error('the broker is away')))
  const run = new Replay({ code: 'internal', message: 7 }, { ...unused, replay, pause: () => Promise.resolve() })
  await run.run()
  expect(replay.mock.calls).toEqual([[{ code: 'internal', after: 6, until: 7 }]])
  expect([run.step, run.failure, run.outcome]).toEqual(['done', 'the broker is away', null])
})
