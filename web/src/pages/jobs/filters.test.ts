import { describe, expect, test } from 'vitest'
import type { JobEvent } from '../../live/protocol.ts'
import { chips } from './chips.ts'
import { fits } from './filters-as-query.ts'
import { readFilters, type Filters } from './filters.ts'
import { listAddress, readList, useRows, variables } from './loader.ts'
import { withTyped } from './typed.ts'

const read = (text: string) => readFilters(new URLSearchParams(text))

test('an address holds the order, the page and the rows, and leaves out what is usual', () => {
  const state = readList(new URL('http://site/monitoring/jobs/?sort=-flops_any_avg&page=3&rows=100&state=failed'))
  expect(listAddress(state)).toBe('monitoring/jobs/?state=failed&sort=-flops_any_avg&page=3&rows=100')
  expect(variables(state)).toEqual({
    filter: [{ state: ['failed'] }],
    page: { page: 3, itemsPerPage: 100 },
    order: { field: 'flops_any_avg', type: 'foot', order: 'DESC' },
  })
  expect(listAddress(readList(new URL('http://site/monitoring/jobs/?rows=7&page=-1&sort=a%20b')))).toBe('monitoring/jobs/')
})

test('an address without rows has the number that the viewer stored, or the next that is offered', () => {
  const plain = new URL('http://site/monitoring/jobs/')
  try {
    for (const [stored, rows] of [
      [10, 25],
      ['100', 100],
      [1000, 50],
      [{}, 50],
    ] as const) {
      useRows(stored)
      expect(readList(plain).rows).toBe(rows)
      expect(listAddress(readList(plain))).toBe('monitoring/jobs/')
      expect(listAddress({ ...readList(plain), rows: 200 })).toBe('monitoring/jobs/?rows=200')
    }
  } finally {
    useRows(undefined)
  }
})

const TAGS = [
  { id: '1', type: 'jobClass', name: 'hangs', scope: 'global' },
  { id: '2', type: 'app', name: 'vasp', scope: 'global' },
  { id: '3', type: 'app', name: 'vasp', scope: 'ana' },
  { id: '4', type: 'test', name: 'Hangs', scope: 'global' },
]

describe('the search field', () => {
  test.each<[string, Filters]>([
    ['user:ana state:failed', { user: ['ana'], state: ['failed'] }],
    ['state:failed,timeout cluster:fritz', { state: ['failed', 'timeout'], cluster: 'fritz' }],
    ['>2h <1d', { duration: { from: 7200, to: 86_400 } }],
    ['duration:30m-2h', { duration: { from: 1800, to: 7200 } }],
    ['123456 123457', { jobId: ['123456', '123457'] }],
    ['node:f0101 last7d', { node: 'f0101', startTime: { range: 'last7d' } }],
    [
      'nodes:2-8 gpus:>4 threads:72',
      { numNodes: { from: 2, to: 8 }, numAccelerators: { from: 4, to: 0 }, numHWThreads: { from: 72, to: 72 } },
    ],
    ['ran:last24h started:last7d', { overlaps: { range: 'last24h' }, startTime: { range: 'last7d' } }],
    ['overlaps:1700000000-1700003600', { overlaps: { from: 1_700_000_000, to: 1_700_003_600 } }],
    ['energy:<0.5 array:77', { energy: { from: 0, to: 0.5 }, arrayJobId: 77 }],
    ['run-2:b', { jobName: 'run-2:b' }],
    ['acc-util_avg:>1', { stat: [{ name: 'acc-util_avg', from: 1, to: 0 }] }],
    ['mem_used_max:>100', { stat: [{ name: 'mem_used_max', from: 100, to: 0 }] }],
    ['namd membrane', { jobName: 'namd membrane' }],
    ['"a:b c" d', { jobName: 'a:b c d' }],
    ['name:"two words"', { jobName: 'two words' }],
    ['projectId:iwal <soon', { project: 'iwal', jobName: '<soon' }],
    ['tag:app:vasp', { tag: ['2', '3'] }],
    ['tag:jobclass:hangs -tag:vasp', { tag: ['1'], tagNone: ['2', '3'] }],
    ['tag:"app: vasp"', { tag: ['2', '3'] }],
  ])('%s', (text, filters) => {
    expect(withTyped({}, text, TAGS)).toEqual({ filters, problem: '' })
  })

  test('adds to what is there', () => {
    expect(withTyped({ state: ['failed'], user: ['a'] }, 'state:timeout', []).filters).toEqual({
      state: ['failed', 'timeout'],
      user: ['a'],
    })
  })

  test.each<[string, string]>([
    ['user:ana foo:bar', '“foo:” is not a filter'],
    ['state:walking', '“walking” is none of running, pending'],
    ['shared:some', '“some” is none of none, single_user, multi_user'],
    ['nodes:many', '“many” is neither a number nor a range'],
    ['nodes:8-2', '“8-2” is neither'],
    ['duration:soon', '“soon” is no duration'],
    ['tag:hangs', 'Several tags are called “hangs”: jobClass:hangs, test:Hangs'],
    ['tag:other', 'There is no tag “other”'],
    ['-user:ana', 'for tags only'],
    ['array:x', '“x” is no job number'],
  ])('%s is not understood and changes nothing', (text, problem) => {
    const before: Filters = { cluster: 'fritz' }
    const typed = withTyped(before, text, TAGS)
    expect(typed.problem).toContain(problem)
    expect(typed.filters).toBe(before)
  })
})

test('a changed job is compared with tags as the gateway does', () => {
  const job = { tags: [{ id: 1 }, { id: 2 }] } as unknown as JobEvent
  const does = (text: string) => fits(read(text), job)
  expect([does('tag=1&tag=9'), does('tagAll=1&tagAll=2'), does('tagNone=9')]).toEqual([true, true, true])
  expect([does('tag=9'), does('tagAll=1&tagAll=9'), does('tagNone=2')]).toEqual([false, false, false])
})

test('a chip takes its filter away, with the way of matching', () => {
  const shown = chips(read('user=a&userMatch=eq&state=failed&state=out_of_memory&duration=morethan-7200'), new Date(0))
  expect(shown.map(({ label, value }) => `${label} ${value}`)).toEqual([
    'user a',
    'state failed',
    'state out of memory',
    'duration ≥ 2:00 h',
  ])
  expect(shown[0]?.without).toEqual(read('state=failed&state=out_of_memory&duration=morethan-7200'))
  expect(shown[1]?.without.state).toEqual(['out_of_memory'])
})
