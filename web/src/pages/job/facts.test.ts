import { expect, test } from 'vitest'
import { schedulerPairs } from './facts.ts'

test('what the scheduler shows of a job becomes pairs', () => {
  const text = 'JobId=7 JobName=two words\n   TRES=cpu=72,mem=4G Command=(null)\n   MinMemoryNode=0'
  expect(schedulerPairs(text)).toEqual([
    ['JobId', '7'],
    ['JobName', 'two words'],
    ['TRES', 'cpu=72,mem=4G'],
    ['Command', '(null)'],
    ['MinMemoryNode', '0'],
  ])
})

test.each(['', 'free text', 'a=1'])('%j is no such text', (text) => {
  expect(schedulerPairs(text)).toEqual([])
})
