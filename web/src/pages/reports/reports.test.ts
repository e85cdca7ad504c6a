import { describe, expect, it } from 'vitest'
import type { Report } from '../../api/use.ts'
import { groupAddress, inPeriod, readReport, reportAddress, variables, withBin } from './loader.ts'
import { barsOf, OTHERS } from './report.svelte.ts'

const at = (query: string) => new URL(`http://site/monitoring/reports/${query}`)

describe('address', () => {
  it.each(['', '?by=user', '?cluster=fritz&by=time&bin=day&value=energy', '?startTime=last30d&bin=hour'])('of %s', (query) => {
    const written = new URL(reportAddress(readReport(at(query))), 'http://site/').searchParams
    expect([...written].sort()).toEqual([...new URLSearchParams(query)].sort())
  })

  it('what is unknown is the default', () => {
    expect(reportAddress(readReport(at('?by=x&bin=year&value=wait')))).toBe('monitoring/reports/')
  })
})

it('without start times a report has a year of months, or fewer days and hours; any time can be chosen', () => {
  const now = new Date(2026, 10, 30)
  const month = readReport(at(''), now)
  expect(month.filters).toEqual({ startTime: { from: new Date(2025, 11, 1).getTime() / 1000, to: 0 } })
  expect(withBin(month, 'day', now).filters).toEqual({ startTime: { range: 'last30d' } })
  expect(reportAddress(withBin(month, 'hour', now), now)).toBe('monitoring/reports/?bin=hour')
  expect(reportAddress({ ...month, filters: {} }, now)).toBe('monitoring/reports/?startTime=0-0')
  const chosen = readReport(at('?startTime=last7d&cluster=fritz'), now)
  expect(withBin(chosen, 'day', now).filters).toEqual(chosen.filters)
  expect(readReport(at('?startTime=0-0&bin=day'), now).filters).toEqual({})
})

it('the server sorts the groups by what is shown', () => {
  expect(variables(readReport(at('?by=partition&value=energy&bin=day')), 'UTC')).toMatchObject({
    groupBy: 'PARTITION',
    sortBy: 'TOTALENERGY',
    bin: 'DAY',
    zone: 'UTC',
  })
})

it.each([
  ['user', 'ana', { user: ['a'] }, 'user=ana&userMatch=eq'],
  ['project', 'p', { project: 'x', projectMatch: 'contains', cluster: 'c' }, 'cluster=c&project=p'],
  ['state', 'failed', { state: ['failed', 'timeout'], user: ['ana'], userMatch: 'eq' }, 'user=ana&state=failed&userMatch=eq'],
  ['time', '', { partition: 'main' }, 'partition=main'],
] as const)('the jobs by %s %s', (by, id, filters, query) => {
  const found = new URL(groupAddress(filters as object, by, id), 'http://site/').searchParams
  expect([...found].sort()).toEqual([...new URLSearchParams(query)].sort())
})

it('a period ends before the next one', () => {
  expect(inPeriod({}, '1970-01-01T00:00:10Z', '1970-01-01T00:00:20Z').startTime).toEqual({ from: 10, to: 19 })
})

it('bars have the largest groups and the rest', () => {
  const bin = (from: string, hours: number) => ({ from, to: '', totalCoreHours: hours })
  const found = {
    bins: [bin('2026-10-01T00:00:00Z', 10), bin('2026-11-01T00:00:00Z', 6)],
    parts: [
      { ...bin('2026-10-01T00:00:00Z', 3), id: 'b' },
      { ...bin('2026-10-01T00:00:00Z', 4), id: 'a' },
      { ...bin('2026-11-01T00:00:00Z', 6), id: 'b' },
    ],
  } as unknown as Report
  const { bars, keys } = barsOf(found, readReport(at('')), String)
  expect(keys).toEqual(['b', 'a', OTHERS])
  expect(bars[0]?.parts.find(({ key }) => key === OTHERS)?.value).toBe(3)
  expect(bars[1]?.parts).toEqual([{ key: 'b', value: 6 }])
})
