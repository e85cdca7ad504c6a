import { expect, test } from 'vitest'
import type { JobHistograms } from '../../../api/histograms.ts'
import { writeFilters } from '../filters.ts'
import { durations, footprints, sizes, withBars } from './bins.ts'

const points = (width: number, counts: number[]) => counts.map((count, at) => ({ value: (at + 1) * width, count }))
const one = (width: number, counts: number[]) => [{ histDuration: points(width, counts) }]

const answer = {
  minute: one(60, [3, 1]),
  tenMinutes: one(600, [4, 6]),
  hour: one(3600, [10, 0, 9, 0, 0]),
  halfDay: one(43_200, [20]),
  day: one(86_400, [20]),
  others: [
    {
      totalJobs: 19,
      histNumNodes: [],
      histNumAccs: [],
      histMetrics: [
        {
          metric: 'mem_used',
          stat: 'max',
          unit: 'GB',
          data: [
            { count: 2, from: 0, to: 12.5 },
            { count: 3, from: 12.5, to: 25 },
          ],
        },
        { metric: 'none', stat: '', unit: '', data: [] },
      ],
    },
  ],
} as unknown as JobHistograms

test('durations have the finest bins with nearly all jobs, up to the last one that is not empty', () => {
  const found = durations(answer)
  expect(found.bins).toEqual([
    { from: 0, to: 3599, jobs: 10 },
    { from: 3600, to: 7199, jobs: 0 },
    { from: 7200, to: 10_799, jobs: 9 },
  ])
  expect(found.beyond).toBe(0)
  expect(found.bins.map(found.text)[1]).toBe('1:00 h – 2:00 h')
  const longer = { ...answer, others: [{ ...answer.others[0], totalJobs: 30 }] } as JobHistograms
  expect(durations(longer).beyond).toBe(10)
})

test('sizes are powers of two, with zero of its own', () => {
  const { bins, text } = sizes('numNodes', [
    { value: 0, count: 1 },
    { value: 3, count: 2 },
    { value: 4, count: 5 },
    { value: 9, count: 1 },
  ])
  expect(bins.map((bin) => [text(bin), bin.jobs])).toEqual([
    ['0', 1],
    ['1', 0],
    ['2', 0],
    ['3 – 4', 7],
    ['5 – 8', 0],
    ['9 – 16', 1],
  ])
})

test('bars become filters in either direction, and one of a footprint replaces the one before', () => {
  const before = {
    cluster: 'fritz',
    stat: [
      { name: 'mem_used_max', from: 1, to: 2 },
      { name: 'mem_bw_avg', from: 3, to: 4 },
    ],
  }
  const [memory] = footprints(answer, new Map(), before)
  expect(memory?.key).toBe('mem_used_max')
  expect(memory && writeFilters(withBars(before, memory, 1, 1)).toString()).toBe(
    'cluster=fritz&stat=mem_bw_avg-3-4&stat=mem_used_max-12.5-25',
  )
  expect(writeFilters(withBars({}, durations(answer), 2, 0)).toString()).toBe('duration=lessthan-10799')
  expect(withBars(before, durations(answer), 7, 9)).toBe(before)
})
