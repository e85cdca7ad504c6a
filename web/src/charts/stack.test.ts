import { expect, it } from 'vitest'
import { boxes, height, labelStep, marks } from './stack.ts'

const bar = {
  key: '1',
  label: 'Nov',
  parts: [
    { key: 'b', value: 2 },
    { key: 'a', value: 3 },
    { key: 'c', value: 0 },
  ],
}

it('parts stand one above the other in the given order', () => {
  expect(boxes(bar, ['a', 'b', 'c'])).toEqual([
    { key: 'a', value: 3, from: 0, to: 3 },
    { key: 'b', value: 2, from: 3, to: 5 },
  ])
  expect(height(bar)).toBe(5)
})

it.each([
  [0, [0, 1]],
  [4, [0, 1, 2, 3, 4]],
  [9, [0, 2.5, 5, 7.5, 10]],
  [0.07, [0, 0.02, 0.04, 0.06, 0.08]],
  [1234, [0, 500, 1000, 1500]],
])('the axis to %d has the marks %o', (largest, expected) => {
  expect(marks(largest)).toEqual(expected)
})

it('labels are left out when there are many bars', () => {
  expect([labelStep(12, 12), labelStep(31, 10), labelStep(1, 0)]).toEqual([1, 4, 1])
})
