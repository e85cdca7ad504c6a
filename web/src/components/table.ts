/** Tables that stand behind charts. */

import { isEmpty, lists, times, type Curve } from '../charts/curve.ts'
import { valueAt, type Raster } from '../charts/raster.ts'
import type { Dot } from '../charts/roofline.ts'
import { csv, type Cell } from '../lib/csv.ts'
import { scaled, significant, type MetricUnit } from '../lib/formats/number.ts'

/** The first cell of a row is a time in seconds since the start; the others are values of one unit. */
export interface ValueTable {
  title: string
  unit: string
  columns: string[]
  count: number
  row: (index: number) => Cell[]
}

export const TIME_COLUMN = 'time since the start (s)'

export function tableOfCurve(curve: Curve, title: string): ValueTable {
  const at = times(curve)
  const { factor, unit } = scaled(curve.largest, curve.unit)
  const band = curve.band ? ['maximum', 'minimum', curve.band.middleIs] : []
  const values = lists(curve)
  return {
    title,
    unit,
    columns: [...band, ...curve.lines.map(({ label }) => label)],
    count: isEmpty(curve) ? 0 : at.length,
    row: (index) => [at[index] ?? null, ...values.map((list) => inUnit(list[index], factor))],
  }
}

export function tableOfRaster(raster: Raster, title: string, of: MetricUnit): ValueTable {
  const { factor, unit } = scaled(raster.largest, of)
  return {
    title,
    unit,
    columns: raster.labels,
    count: raster.samples,
    row: (index) => [index * raster.timestep, ...raster.labels.map((_, row) => inUnit(valueAt(raster, row, index), factor))],
  }
}

/** Seven digits, as many as a sample can have. */
const inUnit = (value: number | null | undefined, factor: number) =>
  value === null || value === undefined ? null : Number((value * factor).toPrecision(7))

export function tableAsCsv({ unit, columns, count, row }: ValueTable): string {
  const head = [TIME_COLUMN, ...columns.map((name) => (unit ? `${name} (${unit})` : name))]
  return csv([head, ...Array.from({ length: count }, (_, index) => row(index))])
}

/** Rate and intensity of each node. */
export function tableOfDots(dots: readonly Dot[], timestep: number, count: number, title: string): ValueTable {
  const hosts = [...new Set(dots.map(({ host }) => host))]
  const byKey = new Map(dots.map((dot) => [`${dot.host} ${String(dot.at)}`, dot]))
  const row = (index: number) => {
    const found = hosts.map((host) => byKey.get(`${host} ${String(index * timestep)}`))
    const rates = found.map((dot) => inUnit(dot?.rate, 1e-9))
    return [index * timestep, ...rates, ...found.map((dot) => inUnit(dot?.intensity, 1))]
  }
  return { title, unit: '', columns: ['GFlops/s', 'Flops/B'].flatMap((unit) => hosts.map((host) => `${host} ${unit}`)), count, row }
}

/** The values of a curve at a time in words. */
export function spokenCurve(curve: Curve, at: number): string {
  const { columns, unit, row } = tableOfCurve(curve, '')
  const [, ...values] = row(Math.round(at / curve.timestep))
  return columns.map((name, index) => `${name} ${spokenValue(values[index])} ${unit}`.trimEnd()).join(', ')
}

const spokenValue = (value: Cell | undefined) => (typeof value === 'number' ? significant(value) : 'no value')
