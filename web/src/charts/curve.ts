/** What a plot shows. Pure. */

import type { MetricUnit } from '../lib/formats/number.ts'

export type Values = readonly (number | null)[]

export interface Line {
  label: string
  mean: number
  values: Values
}

export interface Threshold {
  kind: 'normal' | 'caution' | 'alert'
  value: number
}

/** The limits of a metric, as the configuration has them. */
export interface Limits {
  normal: number | null
  caution: number
  alert: number
}

/** 0 is not configured. */
export function thresholdsOf(limits: Limits | undefined): Threshold[] {
  if (!limits) return []
  const all: Threshold[] = [
    { kind: 'normal', value: limits.normal ?? 0 },
    { kind: 'caution', value: limits.caution },
    { kind: 'alert', value: limits.alert },
  ]
  return all.filter(({ value }) => value > 0)
}

/** Element b of a list is the value from `b * timestep` seconds after the start. */
export interface Curve {
  key: string
  title: string
  description: string
  unit: MetricUnit
  timestep: number
  /** Each series, up to MAX_LINES; over a band only the series that the viewer chose. */
  lines: Line[]
  /** For more series. */
  band: { min: Values; middle: Values; max: Values; middleIs: 'median' | 'mean' } | null
  thresholds: Threshold[]
  series: number
  scope: string
  mean: number
  largest: number
  /** The series furthest on the wrong side, the worst first. */
  worst: { label: string; mean: number }[]
  worstIs: 'lowest' | 'highest'
}

/** A part of the time axis, in seconds since the start. */
export interface Span {
  from: number
  to: number
}

export const MAX_LINES = 8

/** The lists that are drawn: the edges of the band and its middle, then the lines. */
export const lists = ({ band, lines }: Curve): Values[] => [
  ...(band ? [band.max, band.min, band.middle] : []),
  ...lines.map(({ values }) => values),
]

/** The number of the colour of a line, from 0; a band has the first. */
export const colourOfLine = ({ band }: Curve, line: number): number => (line + (band ? 1 : 0)) % MAX_LINES

export function seriesText({ series, scope }: Curve): string {
  if (scope !== 'node') return `${String(series)} series`
  return `${String(series)} ${series === 1 ? 'node' : 'nodes'}`
}

export const isEmpty = (curve: Curve): boolean => lists(curve).every((values) => values.every((value) => value === null))

export const times = (curve: Curve): number[] => {
  const samples = Math.max(0, ...lists(curve).map((values) => values.length))
  return Array.from({ length: samples }, (_, index) => index * curve.timestep)
}

/** The least and the largest value, null without values. */
export function extent(values: Values): [number | null, number | null] {
  let [least, most]: [number | null, number | null] = [null, null]
  for (const value of values) {
    if (value === null) continue
    if (least === null || value < least) least = value
    if (most === null || value > most) most = value
  }
  return [least, most]
}

const MARGIN = 0.08
const FAR = 2

/** From 0 if nothing is below; a threshold is within reach up to twice the largest value, beyond that it would flatten the curve. */
export function valueRange(least: number | null, most: number | null, thresholds: readonly Threshold[]): [number, number] {
  const low = Math.min(0, least ?? 0)
  const high = Math.max(0, most ?? 0)
  const reach = Math.max(high, ...thresholds.map(({ value }) => value).filter((value) => value <= high * FAR))
  return reach === low ? [low, low + 1] : [low, reach + (reach - low) * MARGIN]
}
