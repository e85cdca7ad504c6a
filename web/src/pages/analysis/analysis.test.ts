import { describe, expect, it, test } from 'vitest'
import type { Metric, MetricConfig } from '../../api/metrics.ts'
import { axisMarks, binAt, cellAfter, placeOn, shade, type Cell } from '../../charts/cells.ts'
import { filled, spelled } from '../jobs/default-time.ts'
import { cellsOf } from './cells.ts'
import { analysisAddress, readAnalysis } from './loader.ts'
import { pairOf, quantities, shownHistograms } from './quantities.ts'
import { axesOf, groundOf, planeOf, sampleCells } from './roofline.ts'

const at = (query: string) => readAnalysis(new URL(`http://site/monitoring/analysis/fritz${query}`))
const metric = (name: string, footprint: string | null, base = 'B/s'): Metric => ({
  name,
  displayName: null,
  description: null,
  unit: { base, prefix: 'G' },
  scope: 'node',
  footprint,
  availability: [{ cluster: 'fritz' }],
})
const METRICS = [metric('mem_bw', 'avg'), metric('flops_any', 'avg', 'F/s'), metric('mem_used', 'max', 'B'), metric('ib', null)]
const CONFIGS = METRICS.map(({ name }) => ({ name, peak: name === 'mem_used' ? 0 : 400 })) as unknown as MetricConfig[]
const ALL = quantities(METRICS, CONFIGS, [{ name: 'main', nodes: 100, processor: '', cores: 72, accelerators: 0 }])
const of = (key: string) => ALL.find((one) => one.key === key) ?? expect.fail(key)

describe('address', () => {
  it.each([
    '',
    '?startTime=last7d&state=failed&by=project&value=energy',
    '?startTime=0-0&weight=jobs&across=duration&histogram=energy&roofline=samples',
  ])('of %s', (query) => {
    const written = new URL(analysisAddress('fritz', at(query)), 'http://site/').searchParams
    expect([...written].sort()).toEqual([...new URLSearchParams(query)].sort())
  })

  it('a filter of another cluster leads to its analysis', () => {
    expect(analysisAddress('fritz', { ...at(''), filters: { cluster: 'a/b' } })).toMatch(/^monitoring\/analysis\/a%2Fb\?startTime=0-0$/)
  })
})

test('without a start time a range holds, until any time is chosen', () => {
  expect(filled({}, { range: 'last30d' })).toEqual({ startTime: { range: 'last30d' } })
  expect(spelled(filled({}, { range: 'last30d' }), { range: 'last30d' })).toEqual({})
  expect(filled(spelled({ user: ['a'] }, { range: 'last30d' }), { range: 'last30d' })).toEqual({ user: ['a'] })
})

test('quantities are footprints with their peak, then numbers of every job', () => {
  expect(ALL.map(({ key }) => key)).toEqual([
    'mem_bw_avg',
    'flops_any_avg',
    'mem_used_max',
    'duration',
    'numNodes',
    'numHWThreads',
    'energy',
  ])
  expect([of('mem_bw_avg').axis(50), of('mem_used_max').axis(9)]).toEqual([
    { quantity: 'mem_bw_avg', bins: 50, to: 400 },
    { quantity: 'mem_used_max', bins: 9 },
  ])
  expect(of('numNodes').axis(50)).toMatchObject({ from: 1, to: 128, bins: 7, scale: 'LOG' })
  expect(pairOf(ALL, '', 'energy')?.map(({ key }) => key)).toEqual(['mem_bw_avg', 'energy'])
  expect(shownHistograms(ALL, ['none']).map(({ key }) => key)).toEqual([
    'mem_bw_avg',
    'flops_any_avg',
    'mem_used_max',
    'duration',
    'numNodes',
  ])
})

test('a cell says its values and leads to its jobs, with the filters there were', () => {
  const found = { x: [0, 8, 16], y: [1, 2, 4], outside: 0, cells: [{ x: 1, y: 0, jobs: 1, nodeHours: 2, coreHours: 3, accHours: 0 }] }
  const filters = { cluster: 'fritz', stat: [{ name: 'mem_used_max', from: 1, to: 0 }] }
  expect(cellsOf(found, 'nodeHours', filters, of('mem_bw_avg'), of('numNodes'))).toEqual([
    {
      x: 1,
      y: 0,
      weight: 2,
      text: 'mem_bw 8.00 GB/s – 16.0 GB/s, Nodes 1: 1 job, 2.00 node hours',
      href: 'monitoring/jobs/?cluster=fritz&numNodes=1-1&stat=mem_used_max-morethan-1&stat=mem_bw_avg-8-16',
    },
  ])
})

test('the roofline is asked for in the units of the metrics and shown in flops', () => {
  const ground = groundOf(new Map(METRICS.map((one) => [one.name, one])), 'fritz', [{ name: 'main', peak: 1000, bandwidth: 200 }])
  if (!ground) return expect.fail('no ground')
  expect(axesOf(ground)).toMatchObject({ x: { from: 0.01, to: 1000 }, y: { to: 1500 } })
  const { x, y } = planeOf(ground)
  expect([x.edges.length, y.edges.at(-1)]).toEqual([61, expect.closeTo(1500)])
  expect(sampleCells([[0, 3]], ground)).toMatchObject([{ x: 1, y: 0, weight: 3, href: '' }])
  expect(groundOf(new Map(), 'fritz', [])).toBeNull()
})

describe('cells', () => {
  const axis = { label: '', edges: [1, 10, 100], isLog: true, show: String }
  const cell = (x: number, y: number): Cell => ({ x, y, weight: 1, text: '', href: '' })

  it('have their place on a logarithmic axis', () => {
    expect([placeOn(axis, 10), binAt(axis, 0.6), binAt(axis, -0.1), binAt(axis, 1.1)]).toEqual([0.5, 1, null, null])
    expect(axisMarks(axis)).toEqual([1, 2, 5, 10, 20, 50, 100])
    expect([shade(10, 10), shade(0.001, 10)]).toEqual([1, 0])
  })

  it('are reached by arrow keys', () => {
    const cells = [cell(0, 0), cell(1, 3), cell(2, 0)]
    expect([cellAfter(cells, null, 'ArrowUp'), cellAfter(cells, 0, 'ArrowRight'), cellAfter(cells, 0, 'ArrowUp')]).toEqual([0, 2, 1])
    expect([cellAfter(cells, 2, 'ArrowRight'), cellAfter(cells, 1, 'End'), cellAfter(cells, 0, 'x')]).toEqual([undefined, 2, undefined])
  })
})
