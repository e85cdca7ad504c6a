import { describe, expect, it, vi } from 'vitest'
import type { Group, Totals } from '../../api/use.ts'
import { COLUMNS, tableOf } from './columns.ts'
import { addressOf, readTable, searched, tableAddress, variables } from './loader.ts'
import { UseTable } from './table.svelte.ts'

const at = (query: string) => new URL(`http://site/monitoring/users/${query}`)
const NOTHING = {
  totalJobs: 0,
  shortJobs: 0,
  failedJobs: 0,
  waitedJobs: 0,
  totalWaitTime: 0,
  totalWalltime: 0,
  totalNodeHours: 0,
  totalCoreHours: 0,
  totalAccHours: 0,
  totalEnergy: 0,
  totalFailedCoreHours: 0,
  totalMeasuredCoreHours: 0,
  totalIdleCoreHours: 0,
  totalMeasuredAccHours: 0,
  totalIdleAccHours: 0,
} satisfies Totals

describe('address', () => {
  it.each(['', '?sort=energy', '?user=an&startTime=last30d&sort=name&page=3&rows=100', '?cluster=fritz&state=running'])(
    'of %s is read and written alike',
    (query) => {
      const written = new URL(tableAddress('user', readTable(at(query))), 'http://site/').searchParams
      expect([...written].sort()).toEqual([...new URLSearchParams(query)].sort())
    },
  )

  it.each(['?sort=wait', '?sort=x', '?page=-1', '?rows=7'])('passes over %s', (query) => {
    expect(tableAddress('user', readTable(at(query)))).toBe('monitoring/users/')
  })
})

it('the server sorts by the largest of a column, or by name', () => {
  expect(variables('project', readTable(at('?sort=idle')))).toMatchObject({ groupBy: 'PROJECT', sortBy: 'TOTALIDLECOREHOURS' })
  expect(variables('user', readTable(at('?sort=name'))).sortBy).toBeNull()
})

describe('links', () => {
  it.each([
    ['user', 'ana', {}, 'monitoring/user/ana'],
    ['user', 'ana', { user: ['a'], startTime: { range: 'last7d' } }, 'monitoring/user/ana?startTime=last7d'],
    ['project', 'a/b', { project: 'a', projectMatch: 'contains' }, 'monitoring/project/a%2Fb'],
    ['user', 'ana', { cluster: 'fritz', user: ['a'] }, 'monitoring/jobs/?cluster=fritz&user=ana&userMatch=eq'],
    ['project', 'p', { state: ['running'] }, 'monitoring/jobs/?project=p&state=running'],
    ['project', '', {}, 'monitoring/jobs/?'],
  ] as const)('of the %s %s with %o', (kind, name, filters, address) => {
    expect(addressOf(kind, name, filters as object)).toBe(address)
  })

  it('a search replaces the one before', () => {
    expect(searched('project', { project: 'a', cluster: 'c' }, ' b ')).toEqual({ project: 'b', projectMatch: 'contains', cluster: 'c' })
    expect(searched('user', { user: ['a'], userMatch: 'eq' }, '')).toEqual({})
  })
})

it('the table has unrounded numbers, and nothing where nothing was measured', () => {
  const [heading, row] = tableOf(
    ['User'],
    [{ texts: ['ana'], totals: { ...NOTHING, totalEnergy: 1.23456, waitedJobs: 2, totalWaitTime: 1 } }],
  )
  const value = (label: string) => row?.[heading?.indexOf(label) ?? -1]
  expect(heading).toHaveLength(COLUMNS.length + 1)
  expect([value('User'), value('Energy (kWh)'), value('Mean wait (s)'), value('Idle core hours (h)')]).toEqual(['ana', 1.23456, 1800, null])
})

it('rows stay while others are asked for, and after a failure', async () => {
  const rows = { groups: [{ ...NOTHING, id: 'ana', name: '' } as Group], whole: { ...NOTHING, totalUsers: 1, totalProjects: 1 } }
  const useTable = vi.fn().mockResolvedValueOnce(rows).mockRejectedValueOnce(new Error('away'))
  const table = new UseTable({ useTable }, 'user')
  await table.show(readTable(at('')))
  await table.show(readTable(at('?page=2')))
  expect([table.count, table.groups.length, table.failure]).toEqual([1, 1, 'away'])
})
