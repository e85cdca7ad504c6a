import { expect, test, vi } from 'vitest'
import { Records } from './records.svelte.ts'

test('a change that was made shows the list again, one that was refused says why and leaves it', async () => {
  const ask = vi.fn(() => Promise.resolve([ask.mock.calls.length]))
  const records = new Records(ask)
  await records.load()
  expect(await records.change(() => Promise.resolve())).toBe('')
  expect(records.items).toEqual([2])
  expect(await records.change(() => Promise.reject(new Error('role: unknown')))).toBe('role: unknown')
  expect([records.items, records.failure]).toEqual([[2], ''])
})

test('what is shown stays when it cannot be loaded again', async () => {
  const answers = [Promise.resolve(['a']), Promise.reject(new Error('not reachable'))]
  const records = new Records(() => answers.shift() ?? Promise.resolve([]))
  await records.load()
  await records.load()
  expect([records.items, records.failure, records.isLoaded]).toEqual([['a'], 'not reachable', true])
})
