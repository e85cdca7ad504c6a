import { expect, test } from 'vitest'
import { compareAddress, Selection } from './selection.svelte.ts'
import { inParts } from './tagging.ts'

const ROWS = ['1', '2', '3', '4', '5']

test('a range reaches from the last touched row to this one, upwards too', () => {
  const selection = new Selection()
  selection.toggle('4', ROWS, false)
  selection.toggle('2', ROWS, true)
  expect([...selection.ids].sort()).toEqual(['2', '3', '4'])
  selection.toggle('3', ROWS, false)
  expect([...selection.ids].sort()).toEqual(['2', '4'])
  selection.toggle('5', ROWS, true)
  expect([...selection.ids].sort()).toEqual(['2', '3', '4', '5'])
})

test('a range that begins on another page is this row alone', () => {
  const selection = new Selection()
  selection.toggle('9', ['9'], false)
  selection.toggle('2', ROWS, true)
  expect(selection.ids).toEqual(['9', '2'])
})

test('all on the page are selected, then none of them, and jobs of other pages stay', () => {
  const selection = new Selection()
  selection.toggle('9', ['9'], false)
  selection.toggle('2', ROWS, false)
  expect(selection.ofPage(ROWS)).toBe('some')
  selection.togglePage(ROWS)
  expect(selection.ofPage(ROWS)).toBe('all')
  expect(selection.ids).toHaveLength(6)
  selection.togglePage(ROWS)
  expect(selection.ids).toEqual(['9'])
  selection.clear()
  expect(selection.ids).toEqual([])
})

test('two to eight jobs can be compared', () => {
  expect(compareAddress(['1'])).toBeNull()
  expect(compareAddress(['2', '1'])).toBe('monitoring/compare/?job=2&job=1')
  expect(compareAddress(Array.from({ length: 9 }, String))).toBeNull()
})

test('many jobs are tagged in parts', () => {
  expect(inParts(['1', '2', '3'], 2)).toEqual([['1', '2'], ['3']])
})
