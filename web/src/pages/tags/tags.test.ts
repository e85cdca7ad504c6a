import { expect, test, vi } from 'vitest'
import type { Tag } from '../../api/tags.ts'
import { grouped, TagList } from './tags.svelte.ts'

const TAGS: Tag[] = [
  { id: '1', type: 'project', name: 'b', scope: 'global' },
  { id: '2', type: 'app', name: 'vasp', scope: 'global' },
  { id: '3', type: 'project', name: '<i>A</i>', scope: 'ana' },
]

test('tags are found by all words, and listed by type and name', () => {
  expect(grouped(TAGS, '').map(({ type, tags }) => [type, tags.map(({ id }) => id)])).toEqual([
    ['app', ['2']],
    ['project', ['3', '1']],
  ])
  expect(grouped(TAGS, 'PROJ a</').map(({ tags }) => tags.map(({ id }) => id))).toEqual([['3']])
})

test('counts are shown as they arrive; what the gateway refuses is said and nothing vanishes', async () => {
  const list = new TagList({
    tags: () => Promise.resolve(TAGS),
    tagCounts: (_, report) => {
      report(new Map([['1', 5]]))
      return Promise.resolve()
    },
    createTag: () => Promise.reject(new Error('exists')),
    removeTag: vi.fn((id: string) => (id === '1' ? Promise.reject(new Error('not yours')) : Promise.resolve())),
  })
  await list.load()
  expect(list.counts.get('1')).toBe(5)
  expect(await list.create({ type: 'a', name: 'b', scope: 'ana' })).toBe('exists')
  await list.remove(TAGS[0] as Tag)
  expect([list.failure, list.tags.length]).toEqual(['not yours', 3])
  await list.remove(TAGS[2] as Tag)
  expect([list.failure, list.tags.length]).toEqual(['', 2])
})
