/** The roofline of many jobs: what is asked, and the cells and limits in flops/s and flops per byte. Pure. */

import type { Distribution, DistributionAxis, RooflineVariables } from '../../api/analysis.ts'
import type { ClusterPeaks, Metric } from '../../api/metrics.ts'
import type { Cell, CellAxis, Roof } from '../../charts/cells.ts'
import { baseFactor, count, significant, tick } from '../../lib/formats/number.ts'
import * as texts from '../../texts/en.ts'
import type { Weight } from './loader.ts'

const FLOPS = 'flops_any'
const BANDWIDTH = 'mem_bw'
const COLUMNS = 60
const ROWS = 40
const INTENSITY = { from: 0.01, to: 1000 }
const DECADES = 1e5 // from the lowest rate to the highest
const GIGA = 1e9

/** Factors to flops/s and bytes/s, and the highest rate in flops/s. */
export interface Ground {
  flops: number
  bytes: number
  top: number
}

/** Null for a cluster without footprints of both metrics. */
export function groundOf(metrics: ReadonlyMap<string, Metric>, cluster: string, roofs: readonly Roof[]): Ground | null {
  const [flops, bandwidth] = [metrics.get(FLOPS), metrics.get(BANDWIDTH)]
  const has = (metric: Metric | undefined) => metric?.footprint === 'avg' && metric.availability.some((one) => one.cluster === cluster)
  if (!flops || !bandwidth || !has(flops) || !has(bandwidth)) return null
  const peak = Math.max(0, ...roofs.map((roof) => roof.peak)) * GIGA
  return { flops: baseFactor(flops.unit), bytes: baseFactor(bandwidth.unit), top: peak ? peak * 1.5 : 1e13 }
}

/** The limits of each kind of node, in GFlops/s and GB/s; kinds with the same ones are one. */
export function roofsOf(peaks: readonly ClusterPeaks[]): Roof[] {
  const found = peaks.map(({ name, flopRateSimd, memoryBandwidth }) => ({
    name,
    peak: (flopRateSimd.value * baseFactor(flopRateSimd.unit)) / GIGA,
    bandwidth: (memoryBandwidth.value * baseFactor(memoryBandwidth.unit)) / GIGA,
  }))
  const alike = Map.groupBy(found, ({ peak, bandwidth }) => `${String(peak)} ${String(bandwidth)}`)
  return [...alike.values()].flatMap(([one, ...others]) =>
    one ? [{ ...one, name: [one, ...others].map(({ name }) => name).join(', ') }] : [],
  )
}

/** In the units of the metrics, as the gateway counts. */
export function axesOf({ flops, bytes, top }: Ground): { x: DistributionAxis; y: DistributionAxis } {
  const ratio = flops / bytes
  return {
    x: {
      quantity: `${FLOPS}_avg`,
      per: `${BANDWIDTH}_avg`,
      from: INTENSITY.from / ratio,
      to: INTENSITY.to / ratio,
      bins: COLUMNS,
      scale: 'LOG',
    },
    y: { quantity: `${FLOPS}_avg`, from: top / DECADES / flops, to: top / flops, bins: ROWS, scale: 'LOG' },
  }
}

export function sampleVariables({ flops, bytes, top }: Ground): Omit<RooflineVariables, 'filter'> {
  const ratio = flops / bytes
  return {
    rows: ROWS,
    cols: COLUMNS,
    minX: INTENSITY.from / ratio,
    maxX: INTENSITY.to / ratio,
    minY: top / DECADES / flops,
    maxY: top / flops,
  }
}

const steps = (from: number, to: number, bins: number) => Array.from({ length: bins + 1 }, (_, at) => from * (to / from) ** (at / bins))

/** In flops per byte and GFlops/s. */
export function planeOf({ top }: Ground): { x: CellAxis; y: CellAxis } {
  return {
    x: { label: texts.analysis.intensity, edges: steps(INTENSITY.from, INTENSITY.to, COLUMNS), isLog: true, show: tick },
    y: { label: 'GFlops/s', edges: steps(top / DECADES / GIGA, top / GIGA, ROWS), isLog: true, show: tick },
  }
}

const place = ({ x, y }: { x: CellAxis; y: CellAxis }, column: number, row: number) =>
  `${significant(x.edges[column] ?? 0)} – ${significant(x.edges[column + 1] ?? 0)} Flops/B, ` +
  `${significant(y.edges[row] ?? 0)} – ${significant(y.edges[row + 1] ?? 0)} GFlops/s`

/** No filter selects the jobs of an intensity, so cells have no links. */
export function rooflineCells(found: Distribution, weight: Weight, ground: Ground): Cell[] {
  const plane = planeOf(ground)
  return found.cells.map((cell) => {
    const hours = weight === 'jobs' ? '' : `, ${significant(cell[weight])} ${texts.analysis.weights[weight]}`
    const text = `${place(plane, cell.x, cell.y)}: ${texts.analysis.jobs(count(cell.jobs), cell.jobs === 1)}${hours}`
    return { x: cell.x, y: cell.y, weight: cell[weight], text, href: '' }
  })
}

export function sampleCells(rows: readonly (readonly number[])[], ground: Ground): Cell[] {
  const plane = planeOf(ground)
  return rows.flatMap((row, y) =>
    row.flatMap((weight, x): Cell[] =>
      weight ? [{ x, y, weight, text: `${place(plane, x, y)}: ${texts.analysis.sample(count(weight))}`, href: '' }] : [],
    ),
  )
}
