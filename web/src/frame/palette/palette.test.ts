import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Found, SearchVariables } from '../../api/search.ts'
import { groups, wanted, type Group } from './items.ts'
import { Palette } from './palette.svelte.ts'

const COMMANDS: Group[] = [
  { label: 'Pages', items: [{ id: 'jobs', label: 'Jobs', icon: 'right', to: 'monitoring/jobs/' }] },
  { label: 'Actions', items: [{ id: 'dark', label: 'Theme: dark', icon: 'moon' }] },
]
const FOUND = {
  jobs: { items: [{ id: '7', jobId: 123, jobName: '<b>', user: 'ana', cluster: 'fritz', state: 'node_fail', startTime: '' }] },
  users: [{ id: 'ana', name: 'ana', totalJobs: 1 }],
  nodes: { items: Array.from({ length: 50 }, (_, n) => ({ hostname: `f${String(n)}`, cluster: 'fritz', subCluster: 'main' })) },
} as unknown as Found

test.each([
  ['', false],
  ['a', false],
  ['f01', true],
])('%j is asked for: %s', (text, isAsked) => {
  expect(wanted(text, true) !== null).toBe(isAsked)
})

test('a number is asked as that of a job only, nodes only by those who may see them', () => {
  expect(wanted(' 123 ', true)).toEqual({ jobs: [{ jobId: { eq: '123' } }], withPeople: false, withNodes: false })
  expect(wanted('f01', false)?.withNodes).toBe(false)
  expect(wanted('f0', true)?.withNodes).toBe(false)
})

test('commands fit by the beginnings of their words, and what was found follows them', () => {
  expect(groups('', COMMANDS, FOUND)).toEqual(COMMANDS)
  expect(groups('da', COMMANDS, null).map(({ label }) => label)).toEqual(['Actions', 'Job list'])
  const all = groups('jobs', COMMANDS, FOUND)
  expect(all.map(({ label, items }) => [label, items.length])).toEqual([
    ['Pages', 1],
    ['Jobs', 1],
    ['Users', 1],
    ['Nodes', 6],
    ['Job list', 1],
  ])
  expect(all[1]?.items[0]).toMatchObject({ label: '123 <b>', detail: 'node fail · ana · fritz', to: 'monitoring/job/7' })
})

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('one request for what is typed, given up when typing goes on; what was found stays until the next answer', async () => {
  const asked: [SearchVariables, AbortSignal][] = []
  let answer: (found: Found) => void = () => undefined
  const palette = new Palette(
    (variables, signal) => {
      asked.push([variables, signal])
      return new Promise((resolve) => (answer = resolve))
    },
    COMMANDS,
    true,
  )
  for (const text of ['a', 'an', 'ana']) palette.type(text)
  await vi.advanceTimersByTimeAsync(200)
  expect(asked.map(([variables]) => variables.users)).toEqual([[{ user: { contains: 'ana' } }]])
  answer(FOUND)
  await vi.advanceTimersByTimeAsync(0)
  expect(palette.isSearching).toBe(false)
  expect(palette.groups.map(({ label }) => label)).toContain('Users')
  palette.type('anab')
  await vi.advanceTimersByTimeAsync(200)
  palette.type('anabe')
  expect(asked[1]?.[1].aborted).toBe(true)
  answer({ jobs: { items: [] } })
  await vi.advanceTimersByTimeAsync(0)
  expect(palette.groups.map(({ label }) => label)).toContain('Users')
})

test('the arrows go round, and an answer that arrives does not move what is active', async () => {
  const palette = new Palette(() => Promise.resolve(FOUND), COMMANDS, true)
  palette.move(-1)
  expect(palette.active?.id).toBe('dark')
  palette.move(1)
  expect(palette.active?.id).toBe('jobs')
  palette.type('xyz')
  palette.move(1)
  expect(palette.active?.id).toBe('list')
  await vi.advanceTimersByTimeAsync(200)
  expect(palette.items.length).toBeGreaterThan(5)
  expect(palette.active?.id).toBe('list')
})

test('a failure is said, and the commands stay', async () => {
  const palette = new Palette(() => Promise.reject(new Error('not reachable')), COMMANDS, true)
  palette.type('jobs')
  await vi.advanceTimersByTimeAsync(200)
  expect(palette.failure).toBe('not reachable')
  expect(palette.items.map(({ id }) => id)).toEqual(['jobs', 'list'])
})
