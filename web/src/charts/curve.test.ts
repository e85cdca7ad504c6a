import { expect, test } from 'vitest'
import { isEmpty, times, valueRange, type Curve, type Threshold } from './curve.ts'

const at = (...values: number[]): Threshold[] => values.map((value) => ({ kind: 'alert', value }))

test.each([
  [3, 10, [], [0, 10.8]],
  [3, 10, at(20), [0, 21.6]],
  [3, 10, at(20.1), [0, 10.8]],
  [-10, 10, [], [-10, 11.6]],
  [0, 0, at(5), [0, 1]],
  [null, null, [], [0, 1]],
])('values from %s to %s with thresholds %j are drawn in %j', (least, most, thresholds, range) => {
  const found = valueRange(least, most, thresholds)
  expect(found[0]).toBe(range[0])
  expect(found[1]).toBeCloseTo(range[1] ?? 0)
})

test('the longest list gives the times, and a curve of nulls is empty', () => {
  const curve = { timestep: 30, band: null, lines: [{ values: [null] }, { values: [null, null, null] }] } as unknown as Curve
  expect(times(curve)).toEqual([0, 30, 60])
  expect(isEmpty(curve)).toBe(true)
})
