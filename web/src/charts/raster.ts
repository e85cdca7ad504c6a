/** Values of many series over time as one field of numbers, and as pixels. Pure. */

import { colourOf } from './cividis.ts'
import type { Line, Span } from './curve.ts'

export type RowOrder = 'name' | 'value'

/** `values[row * samples + b]` is the value from `b * timestep` seconds after the start; NaN is missing. */
export interface Raster {
  labels: string[]
  means: number[]
  samples: number
  timestep: number
  values: Float32Array
  least: number
  largest: number
}

export const MAX_ROWS = 360 // one for each pixel of the highest map; more series share rows

const collator = new Intl.Collator('en', { numeric: true })

/** Rows by label, or the highest mean first. More than MAX_ROWS series are merged, neighbours of the order into a row of their means. */
export function rasterOf(lines: readonly Line[], timestep: number, order: RowOrder): Raster {
  const sorted = lines.toSorted((a, b) => (order === 'value' ? b.mean - a.mean : 0) || collator.compare(a.label, b.label))
  const perRow = Math.max(1, Math.ceil(sorted.length / MAX_ROWS))
  const rows = Array.from({ length: Math.ceil(sorted.length / perRow) }, (_, row) => sorted.slice(row * perRow, (row + 1) * perRow))
  const samples = Math.max(0, ...lines.map(({ values }) => values.length))
  const values = new Float32Array(rows.length * samples).fill(Number.NaN)
  let [least, largest] = [Infinity, -Infinity]
  for (const [row, members] of rows.entries()) {
    for (let b = 0; b < samples; b++) {
      const value = meanAt(members, b)
      values[row * samples + b] = value
      if (value < least) least = value
      if (value > largest) largest = value
    }
  }
  return {
    labels: rows.map(labelOf),
    means: rows.map((members) => members.reduce((sum, { mean }) => sum + mean, 0) / members.length),
    samples,
    timestep,
    values,
    least: Number.isFinite(least) ? least : 0,
    largest: Number.isFinite(largest) ? largest : 0,
  }
}

function meanAt(members: readonly Line[], b: number): number {
  let [sum, present] = [0, 0]
  for (const { values } of members) {
    const value = values[b] ?? null
    if (value !== null) [sum, present] = [sum + value, present + 1]
  }
  return present ? sum / present : Number.NaN
}

const labelOf = (members: readonly Line[]) => {
  const [first, last] = [members[0]?.label ?? '', members.at(-1)?.label ?? '']
  return first === last ? first : `${first} – ${last}`
}

/** `zero`: from 0, so that maps of a steady value look steady; `least`: from the lowest value, which shows small differences. */
export type ColourStart = 'zero' | 'least'

/** The values of the first and the last colour. */
export function colourRange({ least, largest }: Raster, start: ColourStart = 'zero'): [number, number] {
  const low = start === 'zero' ? Math.min(0, least) : least
  return [low, largest > low ? largest : low + 1]
}

/** RGBA of all values, a row of pixels per row; missing values are transparent. */
export function pixels(raster: Raster, start: ColourStart = 'zero'): Uint8ClampedArray<ArrayBuffer> {
  const [low, high] = colourRange(raster, start)
  const found = new Uint8ClampedArray(raster.values.length * 4)
  for (const [index, value] of raster.values.entries()) {
    if (Number.isNaN(value)) continue
    const [red, green, blue] = colourOf((value - low) / (high - low))
    found.set([red, green, blue, 255], index * 4)
  }
  return found
}

/** The part of the time axis that a plot of these samples shows without a zoom: to the last sample. */
export const wholeSpan = (samples: number, timestep: number): Span => ({ from: 0, to: Math.max(1, samples - 1) * timestep })

/** The sample nearest to a time, as of a plot; null outside. */
export function sampleAt({ samples, timestep }: Pick<Raster, 'samples' | 'timestep'>, at: number | null): number | null {
  if (at === null) return null
  const nearest = Math.round(at / timestep)
  return nearest >= 0 && nearest < samples ? nearest : null
}

export function valueAt(raster: Raster, row: number, sample: number): number | null {
  const value = raster.values[row * raster.samples + sample] ?? Number.NaN
  return Number.isNaN(value) ? null : value
}
