import { expect, test } from 'vitest'
import { extent } from './curve.ts'
import { runs } from './spark.ts'

test('values with gaps are runs of places', () => {
  expect(runs([null, 1, 2, null, 0, null])).toEqual([[1, 2], [4]])
  expect(runs([null])).toEqual([])
})

test('the extent leaves out what is missing', () => {
  expect(extent([null, 3, -1, 0])).toEqual([-1, 3])
  expect(extent([null])).toEqual([null, null])
})
