import { afterEach, expect, test } from 'vitest'
import { zone } from '../../lib/zone.svelte.ts'
import { typedSpan } from './typed-span.ts'
import { localTime, unixTime } from './zoned.ts'

afterEach(() => {
  zone.name = undefined
})

test.each(['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'America/St_Johns', undefined])('times of %s are read back', (name) => {
  zone.name = name
  for (const at of [1_700_000_000, 1_720_000_005, 1_743_296_400, 1_761_430_000]) expect(unixTime(localTime(at))).toBe(at)
})

test('a time is that of the zone, in summer and in winter', () => {
  zone.name = 'Europe/Berlin'
  expect(localTime(1_700_000_000)).toBe('2023-11-14T23:13:20')
  expect(unixTime('2024-07-01T12:00')).toBe(Date.UTC(2024, 6, 1, 10) / 1000)
  expect(unixTime('2024-01-01T12:00')).toBe(Date.UTC(2024, 0, 1, 11) / 1000)
  expect(unixTime('soon')).toBeNull()
})

const day = (number: number, hour = 0, minute = 0) => Date.UTC(2026, 10, number, hour, minute) / 1000

test.each([
  ['last6h', { range: 'last6h' }],
  ['2026-11-28', { from: day(28), to: day(29) - 1 }],
  ['2026-11-28..2026-11-29', { from: day(28), to: day(30) - 1 }],
  ['2026-11-28T10:00..2026-11-28T12:30', { from: day(28, 10), to: day(28, 12, 30) }],
  ['2026-11-28T10:00..', { from: day(28, 10), to: 0 }],
  ['..2026-11-28', { from: 0, to: day(29) - 1 }],
  ['1700000000-0', { from: 1_700_000_000, to: 0 }],
  ['2026-11-29..2026-11-28', null],
  ['2026-11-28T10:00', null],
  ['2026-13-28', null],
  ['last5h', null],
  ['..', null],
])('%s', (text, span) => {
  zone.name = 'UTC'
  expect(typedSpan(text)).toEqual(span)
})
