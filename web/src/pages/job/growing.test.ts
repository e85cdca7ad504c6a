import { describe, expect, test } from 'vitest'
import type { NewMetricSeries } from '../../api/series.ts'
import { continued, sinceOf } from './growing.ts'

type Values = (number | null)[]

function metric(
  from: number,
  band: Values,
  lines: Record<string, Values>,
  changes: { name?: string; timestep?: number } = {},
): NewMetricSeries {
  return {
    name: changes.name ?? 'power',
    scope: 'node',
    metric: {
      unit: { base: 'W', prefix: '' },
      timestep: changes.timestep ?? 60,
      from,
      series: Object.entries(lines).map(([hostname, data]) => ({
        hostname,
        id: null,
        statistics: { avg: data.length, min: 0, max: data.length },
        data,
      })),
      statisticsSeries: { mean: [], median: band, min: band, max: band },
    },
  }
}

describe('the series of a running job', () => {
  const whole = metric(0, [1, 2, 3, 4], { a: [1, 2, 3, 4], b: [5, 6, 7] })

  test('are continued where the new part begins', () => {
    const [found] = continued([whole], [metric(120, [30, 40, 50], { a: [30, 40, 50] })]) ?? []
    expect(found?.metric.statisticsSeries).toEqual({
      mean: [],
      median: [1, 2, 30, 40, 50],
      min: [1, 2, 30, 40, 50],
      max: [1, 2, 30, 40, 50],
    })
    expect(found?.metric.series?.map(({ data }) => data)).toEqual([
      [1, 2, 30, 40, 50],
      [5, 6, null, null, null],
    ])
    expect(found?.metric.series?.map(({ statistics }) => statistics?.avg)).toEqual([(4 * 2 + 3 * 3) / 5, 3])
    expect(found?.metric.series?.[0]?.statistics).toMatchObject({ min: 0, max: 4 })
  })

  test('keep what they have while nothing is new, and have gaps where nothing was measured', () => {
    expect(continued([whole], [])).toEqual([whole])
    const [found] = continued([whole], [metric(360, [9], { a: [9], b: [9] })]) ?? []
    expect(found?.metric.series?.[0]?.data).toEqual([1, 2, 3, 4, null, null, 9])
  })

  test.each([
    ['buckets are longer', metric(120, [1], { a: [1] }, { timestep: 120 })],
    ['there is another metric', metric(120, [1], { a: [1] }, { name: 'load' })],
    ['there is another node', metric(120, [1], { c: [1] })],
  ])('are loaded again if %s', (_, part) => {
    expect(continued([whole], [part])).toBeNull()
  })

  test('are asked from two buckets before the end of the shortest, unless they are young or much is new', () => {
    expect(sinceOf([whole, metric(0, [1, 2, 3], {})], 300)).toBe(60)
    expect(sinceOf([metric(0, [1, 2], {})], 300)).toBeNull()
    expect(sinceOf([], 300)).toBeNull()
    expect(sinceOf([whole], 120 + 61 * 60)).toBeNull()
  })
})
