import { afterEach, expect, it, vi } from 'vitest'
import type { JobListVariables, JobRow } from '../../api/jobs.ts'
import type { Rule, Rules } from '../../api/rules.ts'
import { AGAIN_MS, Attention } from './attention.svelte.ts'

const tag = (id: string, name: string, type = 'jobClass', scope = 'global') => ({ id, name, type, scope })
const rule = (name: string, severity: string) => ({ tag: name, severity }) as Rule

function attention(rules: Rules | null) {
  const asked: JobListVariables[] = []
  const jobList = vi.fn((variables: JobListVariables) => {
    asked.push(variables)
    return Promise.resolve({ rows: [] as JobRow[], count: asked.length })
  })
  const found = [tag('1', 'lowload'), tag('2', 'longwalltime'), tag('3', 'mine', 'jobClass', 'ana'), tag('4', 'lowload', 'app')]
  const view = new Attention({ jobList, tags: () => Promise.resolve(found), rulesInUse: () => Promise.resolve(rules) }, () => 86_400_000)
  return { view, asked }
}

afterEach(() => {
  vi.useRealTimers()
})

it('asks for running jobs with more than hints and for those that failed in a day, and links the same jobs in the list', async () => {
  const { view, asked } = attention({ rules: [rule('lowload', 'warning'), rule('longwalltime', 'info')] } as Rules)
  await view.load()
  expect(asked.map(({ filter }) => filter)).toEqual([
    [{ state: ['running'], tags: ['1'] }],
    [{ state: expect.arrayContaining(['failed', 'node_fail']) as string[], stopTime: { from: '1970-01-01T00:00:00.000Z' } }],
  ])
  expect(view.advised).toEqual({ rows: [], count: 1, list: 'state=running&tag=1' })
  expect(view.failed?.list).toMatch(/^state=failed&.*&overlaps=last24h$/)
})

it('counts every rule before the archiver has recorded how severe they are', async () => {
  const { view } = attention(null)
  await view.load()
  expect(view.advised?.list).toBe('state=running&tag=1&tag=2')
})

it('asks again once for many changes, also for one that comes while the answer is on its way', async () => {
  vi.useFakeTimers()
  const { view, asked } = attention(null)
  const first = view.load()
  view.changed()
  view.changed()
  await first
  expect(asked).toHaveLength(2)
  await vi.advanceTimersByTimeAsync(AGAIN_MS)
  expect(asked).toHaveLength(4)
})
