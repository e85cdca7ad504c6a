import { expect, test } from 'vitest'
import type { JobRow } from '../../api/jobs.ts'
import { RowCursor } from './cursor.svelte.ts'
import { resourcesText, waitedText } from './facts.ts'

const rows = (...ids: string[]) => ids.map((id) => ({ id }) as JobRow)

test('the cursor begins at the first row, goes along the rows and stays at the last', () => {
  const cursor = new RowCursor()
  cursor.show(rows('7', '8'))
  expect(cursor.tabStop).toBe('7')
  expect([cursor.step(1), cursor.step(1), cursor.step(1), cursor.step(-1), cursor.step(-1)]).toEqual(['7', '8', null, '7', null])
  expect(cursor.tabStop).toBe('7')
})

test('the preview follows the cursor, begins at the first row, and ends with its row', () => {
  const cursor = new RowCursor()
  cursor.show(rows('7', '8'))
  cursor.toggle()
  expect(cursor.previewed?.id).toBe('7')
  cursor.at('8')
  expect(cursor.previewed?.id).toBe('8')
  cursor.show(rows('9'))
  expect(cursor.previewed).toBeNull()
  cursor.step(1)
  expect(cursor.previewed?.id).toBe('9')
  cursor.toggle()
  expect(cursor.previewed).toBeNull()
})

test('one of a thing is singular, and what is not there is not named', () => {
  expect(resourcesText({ numNodes: 1, numHWThreads: 0, numAcc: 1 })).toBe('1 node, 1 accelerator')
  expect(resourcesText({ numNodes: 1200, numHWThreads: 1, numAcc: 0 })).toBe('1,200 nodes, 1 hardware thread')
  const startTime = '2026-11-30T12:00:00Z'
  expect(waitedText({ submitTime: '2026-11-30T11:00:00Z', startTime })).toBe('waited 1:00 h')
  expect(waitedText({ submitTime: startTime, startTime })).toBe('')
  expect(waitedText({ submitTime: null, startTime })).toBe('')
})
