import { describe, expect, test } from 'vitest'
import { duration, elapsed, parseDuration } from './duration.ts'
import { scaled, significant, tick, withUnit } from './number.ts'
import { isoTime, longTime, shortTime } from './time.ts'

describe('durations', () => {
  test.each([
    [0, '0 s'],
    [59.9, '59 s'],
    [60, '1:00 min'],
    [3599, '59:59 min'],
    [3600, '1:00 h'],
    [86_399, '23:59 h'],
    [86_400, '1d 00:00'],
    [1_000_000, '11d 13:46'],
    [-5, '0 s'],
  ])('%d s is %s', (seconds, text) => {
    expect(duration(seconds)).toBe(text)
  })

  test.each([
    ['90', 90],
    ['15m', 900],
    ['1.5h', 5400],
    ['2:30', 9000],
    ['3 d', 259_200],
    ['', null],
    ['2x', null],
    ['-3h', null],
    ['1:75', null],
  ])('%j is read as %s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds)
  })

  test.each([
    [0, 30, '0'],
    [30, 30, '30 s'],
    [90, 30, '1:30 min'],
    [900, 300, '15 min'],
    [4500, 900, '1:15 h'],
    [21_600, 21_600, '6 h'],
    [172_800, 86_400, '2 d'],
  ])('%d s at an axis with steps of %d s is %s', (seconds, step, text) => {
    expect(elapsed(seconds, step)).toBe(text)
  })
})

describe('numbers', () => {
  test.each([
    [0, '0'],
    [0.01234, '0.0123'],
    [0.99999, '1.00'],
    [9.999, '10.0'],
    [78.94, '78.9'],
    [99.96, '100'],
    [1234.5, '1,235'],
    [Number.NaN, '–'],
  ])('%d is %s', (value, text) => {
    expect(significant(value)).toBe(text)
  })

  test.each([
    [1234, { base: 'B/s', prefix: 'G' }, '1.23 TB/s'],
    [0.5, { base: 'F/s', prefix: 'G' }, '500 MF/s'],
    [999.99, { base: 'B', prefix: 'M' }, '1.00 GB'],
    [42.42, { base: '%', prefix: null }, '42.4 %'],
    [71.9, { base: '', prefix: null }, '71.9'],
    [0, { base: 'W', prefix: '' }, '0 W'],
    [null, { base: 'W', prefix: '' }, '–'],
  ])('%d of %j is %s', (value, unit, text) => {
    expect(withUnit(value, unit)).toBe(text)
  })

  test.each([
    [5000, { base: 'F/s', prefix: 'M' }, { factor: 0.001, unit: 'GF/s' }],
    [0.25, { base: 'B', prefix: 'G' }, { factor: 1000, unit: 'MB' }],
    [5000, { base: '%', prefix: null }, { factor: 1, unit: '%' }],
    [0, { base: 'W', prefix: 'k' }, { factor: 1, unit: 'kW' }],
    [5000, undefined, { factor: 1, unit: '' }],
  ])('values up to %d of %j are shown as %j', (largest, unit, shown) => {
    expect(scaled(largest, unit)).toEqual(shown)
  })

  test.each([
    [0.5, '0.5'],
    [12_500, '12,500'],
    [0.30000000000000004, '0.3'],
  ])('%d at an axis is %s', (value, text) => {
    expect(tick(value)).toBe(text)
  })
})

describe('times', () => {
  const time = new Date('2026-11-28T14:05:09.500Z')
  test.each([
    ['2026-11-28T20:00:00Z', '14:05'],
    ['2026-11-30T20:00:00Z', '28 Nov 14:05'],
    ['2027-01-02T20:00:00Z', '28 Nov 2026'],
  ])('seen at %s it is %s', (now, text) => {
    expect(shortTime(time, new Date(now), 'UTC')).toBe(text)
  })

  test('the long form has the weekday and seconds, in the given zone', () => {
    expect(longTime(time, 'UTC')).toBe('Sat 28 Nov 2026, 14:05:09')
    expect(longTime(time, 'Europe/Berlin')).toBe('Sat 28 Nov 2026, 15:05:09')
    expect(isoTime(time)).toBe('2026-11-28T14:05:09Z')
  })
})
