import { expect, test } from 'vitest'
import type { MetricConfig } from '../../api/metrics.ts'
import type { Curve } from '../../charts/curve.ts'
import { offeredScopes, withPicked } from './curves.ts'

test.each([
  [['core', 'node'], 'hwthread', 0, 'node core'],
  [[], 'core', 0, 'node socket memoryDomain core'],
  [[], 'node', 4, 'node'],
  [[], 'accelerator', 4, 'node accelerator'],
  [[], 'accelerator', 0, 'node'],
])('stored %j, measured at %s, with %d accelerators: offered are %s', (stored, scope, accelerators, offered) => {
  expect(offeredScopes(stored, [{ scope } as MetricConfig], accelerators).join(' ')).toBe(offered)
})

test('chosen nodes have a line over the band, and alone remain of few lines', () => {
  const band = { band: {}, lines: [] } as unknown as Curve
  const all = ['f1 0', 'f1 1', 'f10', 'f2'].map((label) => ({ label, mean: 0, values: [1] }))
  expect(withPicked(band, all, ['f1', 'f2']).lines.map(({ label }) => label)).toEqual(['f1 0', 'f1 1', 'f2'])
  const few = { band: null, lines: ['f0', 'f1', 'f2'].map((label) => ({ label, mean: 0, values: [1] })) } as unknown as Curve
  expect(withPicked(few, undefined, ['f1']).lines.length).toBe(1)
  expect(withPicked(few, undefined, ['gone']).lines.length).toBe(3)
})
