import { expect, test } from 'vitest'
import { slotsOf } from './slots.ts'

const first = slotsOf(['a', 'b', 'c'], new Map())
const places = (ids: string[]) => [...slotsOf(ids, first)]

test('jobs that stay keep their rows, in any order', () => {
  expect(places(['c', 'a'])).toEqual([
    ['c', 2],
    ['a', 0],
  ])
})

test('other jobs take the rows of those that left, and new rows when there are too few', () => {
  expect(places(['d', 'b', 'e', 'f'])).toEqual([
    ['d', 0],
    ['b', 1],
    ['e', 2],
    ['f', 3],
  ])
})
