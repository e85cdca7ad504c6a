import { describe, expect, test, vi } from 'vitest'
import type { ComparedJob, MedianSeries } from '../../api/compare.ts'
import type { MetricConfig } from '../../api/metrics.ts'
import { Comparing } from './compare.svelte.ts'
import { diff, folded } from './diff.ts'
import { comparisonAddress, letter, readComparison } from './loader.ts'
import { overlays } from './overlay.ts'
import { different, settings, statistics } from './rows.ts'

const job = (id: string, given: Partial<ComparedJob> = {}) =>
  ({
    id,
    jobId: 100 + Number(id),
    jobName: 'j',
    user: 'ana',
    project: 'p',
    cluster: 'fritz',
    subCluster: 'main',
    partition: '',
    state: 'completed',
    submitTime: null,
    startTime: '2026-11-28T12:00:00Z',
    duration: 1200,
    walltime: 3600,
    numNodes: 1,
    numHWThreads: 72,
    numAcc: 0,
    SMT: 1,
    requestedMemory: 0,
    energy: 0,
    shared: 'none',
    advice: [],
    metaData: null,
    ...given,
  }) as unknown as ComparedJob

test('the address keeps the order of the jobs, without repetitions or what is no id', () => {
  const read = readComparison(new URL('http://a/monitoring/compare/?job=3&job=1&job=3&job=x&axis=share&rows=different'))
  expect(read).toEqual({ ids: ['3', '1'], axis: 'share', onlyDifferent: true })
  expect(comparisonAddress(read)).toBe('monitoring/compare/?job=3&job=1&axis=share&rows=different')
  expect([0, 25, 26, 49].map(letter)).toEqual(['A', 'Z', 'AA', 'AX'])
})

describe('curves', () => {
  const series = (median: (number | null)[], timestep: number): MedianSeries =>
    ({ name: 'load', unit: { base: '', prefix: null }, timestep, median }) as MedianSeries
  const jobs = [job('1'), job('2', { duration: 600, startTime: '2026-11-28T12:10:00Z' }), job('3')]
  const medians = new Map([
    ['1', [series([1, 2, 3, 4], 300)]],
    ['2', [series([5, 6], 300)]],
  ])

  test('a job has its line in every plot, so that its colour stays, and ends where its samples end', () => {
    const curve = overlays(jobs, medians, 'elapsed', [])[0]
    expect(curve?.lines.map(({ label }) => label)).toEqual(['A 101', 'B 102', 'C 103'])
    expect(curve?.lines[0]?.values.at(-2)).toBe(4)
    expect(curve?.lines[1]?.values.filter((value) => value !== null)).toEqual([...Array<number>(60).fill(5), ...Array<number>(60).fill(6)])
    expect(curve?.lines[2]?.values).toEqual([])
    expect(curve?.timestep).toBe(5)
  })

  test('over the share of the duration a short job is as wide as a long one', () => {
    const lines = overlays(jobs, medians, 'share', [])[0]?.lines ?? []
    expect(lines[0]?.values[119]).toBe(2)
    expect(lines[1]?.values[119]).toBe(5)
    expect(lines[1]?.values[121]).toBe(6)
  })

  test('over the time of day jobs stand where they ran', () => {
    const lines = overlays(jobs, medians, 'clock', [])[0]?.lines ?? []
    expect(lines[1]?.values[119]).toBeNull()
    expect(lines[1]?.values[120]).toBe(5)
    expect(lines[0]?.values[120]).toBe(3)
  })
})

describe('differences', () => {
  const jobs = [job('1'), job('2', { numNodes: 2, user: '<b>ana</b>' })]

  test('numbers differ by per cent of the baseline, texts by being another', () => {
    const rows = settings(jobs).flatMap((section) => section.rows)
    expect(rows.find(({ label }) => label === 'Nodes')?.cells).toEqual([
      { text: '1', isDifferent: false },
      { text: '2', isDifferent: true, change: 100 },
    ])
    expect(different(settings(jobs)).flatMap((section) => section.rows.map(({ label }) => label))).toEqual(['User', 'Nodes'])
  })

  test('metrics say whether more is better; those without values are left out', () => {
    const data = (avg: number) => [
      { name: 'mem', hasData: true, data: { avg, min: 0, max: 9 } },
      { name: 'flops', hasData: true, data: { avg: 0, min: 0, max: 0 } },
    ]
    const found = new Map([['1', data(4)]])
    const configs = [{ name: 'mem', lowerIsBetter: true, caution: 1, alert: 2 }] as MetricConfig[]
    const [mean] = statistics(jobs, found, new Map(), configs).rows
    expect(statistics(jobs, found, new Map(), configs).rows.map(({ label }) => label)).toEqual(['mem', 'mem maximum'])
    expect(mean).toMatchObject({ more: 'worse', cells: [{ text: '4.00' }, { text: '–', isDifferent: true }] })
  })
})

describe('scripts', () => {
  const shown = (before: string, after: string) => diff(before, after).map(({ kind, text }) => kind[0] + text)

  test.each([
    ['a\nb\nc\n', 'a\nc\nd', ['sa', 'rb', 'sc', 'ad']],
    ['', 'a', ['aa']],
    ['a', '', ['ra']],
    ['x\ny', 'y\nx', ['rx', 'sy', 'ax']],
    ['same\r\n', 'same\n', ['ssame']],
  ])('%j becomes %j', (before, after, lines) => {
    expect(shown(before, after)).toEqual(lines)
  })

  test('texts that are too long to compare are shown as replaced', () => {
    const long = (word: string) => Array.from({ length: 3000 }, (_, line) => `${word} ${String(line)}`).join('\n')
    expect(diff(long('a'), long('b')).length).toBe(6000)
  })

  test('equal lines far from a difference are folded', () => {
    const text = Array.from({ length: 20 }, (_, line) => String(line))
    const parts = folded(diff(text.join('\n'), text.with(10, 'x').join('\n')))
    expect(parts.map(({ hidden, lines }) => [hidden, lines.length])).toEqual([
      [7, 8],
      [6, 0],
    ])
  })
})

test('another order and fewer jobs ask nothing, an unknown job does', async () => {
  const api = {
    comparedJobs: vi.fn((ids: string[]) => Promise.resolve(ids.filter((id) => id !== '9').map((id) => job(id)))),
    comparedStatistics: vi.fn(() => Promise.resolve(new Map())),
    medians: vi.fn(() => Promise.resolve(new Map())),
    metricConfigs: vi.fn(() => Promise.resolve([])),
  }
  const view = new Comparing(api)
  await view.show(['1', '2'])
  await view.show(['2', '1'])
  await view.show(['2'])
  expect(view.jobs.map(({ id }) => id)).toEqual(['2'])
  expect(api.comparedJobs).toHaveBeenCalledTimes(1)
  await view.show(['2', '9'])
  expect([view.missing, api.comparedJobs.mock.calls.length]).toEqual([1, 2])
})
