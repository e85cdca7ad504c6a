import { expect, test, vi } from 'vitest'
import { MAX_VIEWS, Views } from './views.svelte.ts'

const store = vi.fn(() => Promise.resolve())

test('views are saved, replaced, renamed and removed', async () => {
  const views = new Views(undefined, store)
  await views.save(' failed ', 'state=failed')
  await views.save('mine', 'user=ana')
  await views.save('failed', 'state=failed&state=timeout')
  expect(views.all).toEqual([
    { name: 'failed', query: 'state=failed&state=timeout' },
    { name: 'mine', query: 'user=ana' },
  ])
  await views.rename('mine', 'failed')
  expect(views.all).toEqual([{ name: 'failed', query: 'user=ana' }])
  expect(views.shown('user=ana')?.name).toBe('failed')
  await views.remove('failed')
  expect(store).toHaveBeenLastCalledWith([])
})

test.each([null, 7, 'x', { 0: 'x' }, [{ name: 1 }, null, 3]])('a stored %j has no views', (stored) => {
  expect(new Views(stored, store).all).toEqual([])
})

test('what cannot be stored is not shown', async () => {
  const views = new Views([{ name: 'a', query: '' }], () => Promise.reject(new Error('value: too long')))
  await views.remove('a')
  expect(views.all).toHaveLength(1)
  expect(views.failure).toBe('value: too long')
})

test('names and numbers have limits', () => {
  const views = new Views(
    Array.from({ length: MAX_VIEWS }, (_, i) => ({ name: String(i), query: '' })),
    store,
  )
  expect(views.refuses(' ', '')).toBe('name')
  expect(views.refuses('x'.repeat(61), '')).toBe('name')
  expect(views.refuses('new', '')).toBe('many')
  expect(views.refuses('0', 'x'.repeat(1001))).toBe('long')
  expect(views.refuses('0', '')).toBeNull()
})
