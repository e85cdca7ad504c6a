import { describe, expect, test } from 'vitest'
import { curvesOf, missingOf, sentence } from './curves.ts'
import { config, metric } from './made.ts'

describe('the curves of a job', () => {
  test.each([
    [8, true, 8],
    [9, true, 0],
    [2, false, 0],
  ])('%d series, with lines: %s, give %d lines', (hosts, withLines, lines) => {
    const [curve] = curvesOf([metric('power', hosts, { withLines })], [])
    expect(curve?.lines.length).toBe(lines)
    expect(curve?.band?.middle).toEqual(lines ? undefined : [3, 4])
  })

  test('stand in the order of the configuration, at the coarsest scope, with its names and limits', () => {
    const found = [metric('b', 2, { scope: 'core' }), metric('x', 1), metric('b', 1, { scope: 'socket' }), metric('a', 1)]
    const configs = [config('a', { displayName: 'First' }), config('b'), config('gone')]
    const curves = curvesOf(found, configs)
    expect(curves.map(({ title, scope }) => `${title} ${scope}`)).toEqual(['First node', 'b socket', 'x node'])
    expect(curves[0]?.thresholds).toEqual([
      { kind: 'normal', value: 50 },
      { kind: 'caution', value: 20 },
    ])
    expect(missingOf(curves, configs)).toEqual(['gone'])
  })

  test.each([
    [config('p'), 'lowest', 'f0'],
    [config('p', { lowerIsBetter: true }), 'highest', 'f9'],
    [config('p', { alert: 90, caution: 80 }), 'highest', 'f9'],
  ])('%# names the worst hosts', (given, worstIs, host) => {
    const [curve] = curvesOf([metric('p', 10)], [given])
    expect([curve?.worstIs, curve?.worst[0]?.label, curve?.worst.length]).toEqual([worstIs, host, 3])
  })

  test('are said in a sentence', () => {
    const [curve, empty] = curvesOf([metric('p', 3), metric('q', 0)], [config('p')])
    expect(curve && sentence(curve, 7)).toBe('p of job 7: mean 1.00 W, largest 4.00 W, 3 nodes, lowest f0 with a mean of 0 W')
    expect(empty && sentence(empty, 7)).toBe('q of job 7: no samples')
  })
})
