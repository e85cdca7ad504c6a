import { expect, test, vi } from 'vitest'
import { ApiError } from '../../api/graphql.ts'
import type { WallObject } from '../../api/wall.ts'
import { LinkedWall, PAUSE_MS } from './link.svelte.ts'
import { numbersOfLink } from './numbers.ts'

const part = { coresAllocated: 72, cores: 288, acceleratorsAllocated: 0, accelerators: 0 }
const FOUND: WallObject = {
  cluster: 'fritz',
  site: 'jobtide',
  version: '1',
  time: 1000,
  runningJobs: 2,
  users: 1,
  subClusters: [
    { ...part, name: 'main', states: { idle: 2, allocated: 1, mixed: 1 } },
    { ...part, name: 'big', states: { drained: 1, idle: 1 }, acceleratorsAllocated: 3, accelerators: 8 },
  ],
  history: [],
  powerKw: null,
}

test('the numbers of a link are sums over the subclusters', () => {
  expect(numbersOfLink(FOUND)).toMatchObject({
    nodes: 6,
    busy: 2,
    free: 3,
    cores: { used: 144, whole: 576 },
    gpus: { used: 3, whole: 8 },
    power: '',
    states: [
      ['allocated', 1],
      ['mixed', 1],
      ['idle', 3],
      ['drained', 1],
    ],
  })
})

test('a linked screen keeps its numbers while the gateway is away, and shows none after the link has ended', async () => {
  vi.useFakeTimers()
  const wallNumbers = vi.fn(() => Promise.resolve(FOUND))
  const reload = vi.fn()
  const view = new LinkedWall({ wallNumbers }, reload)
  await view.show('token')
  expect(view.found).toBe(FOUND)
  wallNumbers.mockRejectedValueOnce(new ApiError(503, 'away'))
  await vi.advanceTimersByTimeAsync(PAUSE_MS)
  expect([view.why, view.found]).toEqual(['away', FOUND])
  wallNumbers.mockRejectedValueOnce(new ApiError(401, 'revoked'))
  await vi.advanceTimersByTimeAsync(PAUSE_MS)
  expect([view.why, view.found]).toEqual(['ended', null])
  await vi.advanceTimersByTimeAsync(PAUSE_MS)
  expect([view.why, reload.mock.calls.length]).toEqual(['', 0])
  wallNumbers.mockResolvedValueOnce({ ...FOUND, version: '2' })
  await vi.advanceTimersByTimeAsync(PAUSE_MS)
  expect(reload.mock.calls.length).toBe(1)
  view.close()
})

test('a screen that was closed while it waited for an answer asks no more', async () => {
  vi.useFakeTimers()
  let answer: (found: WallObject) => void = () => undefined
  const wallNumbers = vi.fn(() => new Promise<WallObject>((resolve) => (answer = resolve)))
  const view = new LinkedWall({ wallNumbers }, vi.fn())
  const shown = view.show('token')
  view.close()
  answer(FOUND)
  await shown
  await vi.advanceTimersByTimeAsync(2 * PAUSE_MS)
  expect([view.found, wallNumbers.mock.calls.length]).toEqual([null, 1])
})
