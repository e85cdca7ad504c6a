import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Home } from '../../api/home.ts'
import type { JobRow } from '../../api/jobs.ts'
import type { Change, JobEvent } from '../../live/protocol.ts'
import { HomeView, RELOAD_MS } from './home.svelte.ts'
import { monthsOf, partsOf, variablesOf } from './loader.ts'
import { partsOfNodes } from './states.ts'

const viewer = { username: 'ana', roles: ['user'], projects: [], allJobs: false, nodes: false }
const event = { jobState: 'running', duration: 5, user: 'ana', project: 'p', numNodes: 1, footprint: null } as unknown as JobEvent
const nothing: Home = {
  running: { rows: [{ id: '1', state: 'running' } as JobRow], count: 1 },
  wrong: null,
  done: null,
  month: null,
  lastMonth: null,
  projects: null,
  clusters: null,
  nodes: new Map(),
  sick: [],
}

describe('parts by role', () => {
  const managed = { ...viewer, roles: ['manager'], projects: ['p'] }
  const site = { ...viewer, roles: ['support'], allJobs: true, nodes: true }
  it.each([
    [viewer, { mine: true, managed: false, site: false, nodes: false }],
    [managed, { mine: true, managed: true, site: false, nodes: false }],
    [
      { ...managed, projects: [] },
      { mine: true, managed: false, site: false, nodes: false },
    ],
    [site, { mine: false, managed: false, site: true, nodes: true }],
    [
      { ...site, roles: ['admin', 'user'] },
      { mine: true, managed: false, site: true, nodes: true },
    ],
  ])('%o', (person, parts) => {
    expect(partsOf(person)).toEqual(parts)
  })
})

it('compares the month with the whole one before it, also in January', () => {
  expect(monthsOf(new Date(2027, 0, 15)).beginLast).toEqual(new Date(2026, 11, 1))
  const asked = JSON.stringify(variablesOf(viewer, new Date(2027, 0, 15)).lastMonth)
  expect(asked).toContain(new Date(2026, 11, 1).toISOString())
  expect(asked).toContain(new Date(new Date(2027, 0, 1).getTime() - 1000).toISOString())
})

it('shows scheduler states in their order and leaves health out', () => {
  const parts = partsOfNodes([
    { state: 'full', count: 4 },
    { state: 'down', count: 1 },
    { state: 'allocated', count: 3 },
    { state: 'idle', count: 0 },
  ])
  expect(parts.map(({ state, share }) => [state, share])).toEqual([
    ['allocated', 0.75],
    ['down', 0.25],
  ])
})

describe('changes', () => {
  afterEach(() => {
    vi.useRealTimers()
  })
  const change = (id: string, job: Partial<JobEvent>): Change => ({ kind: 'job', id, job: { ...event, ...job } })
  async function shown() {
    vi.useFakeTimers()
    const home = vi.fn(() => Promise.resolve(nothing))
    const view = new HomeView({ home }, () => variablesOf(viewer, new Date()), [])
    await view.load()
    return { home, view }
  }
  const isMine = (user: string) => user === 'ana'

  it('a row changes in place, without a request', async () => {
    const { home, view } = await shown()
    view.changes([change('1', { duration: 99 })], isMine)
    expect(view.found?.running?.rows[0]?.duration).toBe(99)
    await vi.advanceTimersByTimeAsync(RELOAD_MS)
    expect(home).toHaveBeenCalledTimes(1)
  })

  it('an ended job and a new one load the page again, once', async () => {
    const { home, view } = await shown()
    view.changes([change('1', { jobState: 'failed' }), change('2', {})], isMine)
    view.changes([change('3', {})], isMine)
    await vi.advanceTimersByTimeAsync(RELOAD_MS)
    expect(home).toHaveBeenCalledTimes(2)
  })

  it("jobs of others don't", async () => {
    const { home, view } = await shown()
    view.changes([change('2', { user: 'eva' })], isMine)
    await vi.advanceTimersByTimeAsync(RELOAD_MS)
    expect(home).toHaveBeenCalledTimes(1)
  })
})
