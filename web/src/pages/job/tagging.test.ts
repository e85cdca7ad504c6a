import { expect, test, vi } from 'vitest'
import { parsedTag, Tagging } from './tagging.svelte.ts'

test.each([
  ['bench: run 1', { type: 'bench', name: 'run 1' }],
  [' a:b:c ', { type: 'a', name: 'b:c' }],
  ['bench', null],
  [': x', null],
])('%s is %j', (text, tag) => {
  expect(parsedTag(text)).toEqual(tag)
})

test('a tag is created only where it does not exist in the scope, and a refusal is shown', async () => {
  const known = [{ id: '3', type: 'a', name: 'b', scope: 'ana' }]
  const api = {
    tags: () => Promise.resolve(known),
    createTag: vi.fn().mockResolvedValue({ id: '4', type: 'a', name: 'b', scope: 'global' }),
    addTag: vi.fn().mockResolvedValue([]),
    removeTag: vi.fn().mockRejectedValue(new Error('not yours')),
  }
  const tagging = new Tagging(api)
  await tagging.load()
  await tagging.add('7', 'a: b', 'ana')
  await tagging.add('7', 'a: b', 'global')
  await tagging.add('7', 'a: b', 'global')
  expect(api.createTag.mock.calls).toEqual([[{ type: 'a', name: 'b', scope: 'global' }]])
  expect(api.addTag.mock.calls).toEqual([
    ['7', '3'],
    ['7', '4'],
    ['7', '4'],
  ])
  expect([await tagging.remove('7', '3'), tagging.failure, tagging.isBusy]).toEqual([null, 'not yours', false])
})
