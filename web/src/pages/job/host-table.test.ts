import { expect, test } from 'vitest'
import type { MetricOfHosts } from '../../api/host-statistics.ts'
import { hostRows, ordered } from './host-table.ts'

const one = (hostname: string, avg: number, id: string | null = null) => ({ hostname, id, data: { avg, min: avg - 1, max: avg + 1 } })
const found: MetricOfHosts[] = [
  { name: 'load', scope: 'node', stats: [one('f10', 3), one('f9', 5), one('f11', 4)] },
  { name: 'flops', scope: 'node', stats: [one('f9', 0), one('f11', 7)] },
]
const hosts = (rows: { host: string }[]) => rows.map(({ host }) => host)

test('hosts are in the order of their numbers, with the statistic of each metric and none where there is no value', () => {
  expect(hostRows(found, 'max').map(({ host, values }) => [host, ...values])).toEqual([
    ['f9', 6, 1],
    ['f10', 4, null],
    ['f11', 5, 8],
  ])
})

test('parts of a host have rows of their own', () => {
  const parts: MetricOfHosts[] = [{ name: 'load', scope: 'core', stats: [one('f1', 1, '10'), one('f1', 2, '9')] }]
  expect(hostRows(parts, 'avg').map(({ part }) => part)).toEqual(['9', '10'])
})

test('rows are sorted by a metric, those without a value last', () => {
  const rows = hostRows(found, 'avg')
  expect(hosts(ordered(rows, { column: 1, isFalling: true }))).toEqual(['f11', 'f9', 'f10'])
  expect(hosts(ordered(rows, { column: 1, isFalling: false }))).toEqual(['f9', 'f11', 'f10'])
  expect(hosts(ordered(rows, { column: null, isFalling: true }))).toEqual(['f11', 'f10', 'f9'])
})
