/** From the medians of several jobs to one plot per metric. Pure. */

import type { ComparedJob, MedianSeries } from '../../api/compare.ts'
import type { MetricConfig } from '../../api/metrics.ts'
import type { Curve, Values } from '../../charts/curve.ts'
import type { AxisStart } from '../../charts/time-axis.ts'
import { withUnit } from '../../lib/formats/number.ts'
import { letter, type Axis } from './loader.ts'

export const POINTS = 240

/** What a plot draws: element b is the value from `b * timestep` on, in seconds, or in per cent of the duration. */
export function overlays(jobs: ComparedJob[], medians: ReadonlyMap<string, MedianSeries[]>, axis: Axis, configs: MetricConfig[]): Curve[] {
  const names = [...new Set(jobs.flatMap(({ id }) => (medians.get(id) ?? []).map(({ name }) => name)))]
  const order = new Map(configs.map(({ name }, index) => [name, index]))
  const place = (name: string) => order.get(name) ?? order.size
  const grid = gridOf(jobs, axis)
  return names
    .toSorted((a, b) => place(a) - place(b) || a.localeCompare(b))
    .map((name) => curveOf(name, jobs, medians, grid, configs[place(name)]))
}

interface Grid {
  step: number
  /** Where the job is at a time of the axis, in seconds since its start. */
  place: (job: ComparedJob, at: number) => number
}

export const started = (job: Pick<ComparedJob, 'startTime'>): number => Date.parse(job.startTime) / 1000
const firstStart = (jobs: ComparedJob[]): number => Math.min(...jobs.map(started))

export function axisStart(jobs: ComparedJob[], axis: Axis): AxisStart {
  if (axis === 'share') return axis
  return axis === 'clock' ? firstStart(jobs) * 1000 : null
}

function gridOf(jobs: ComparedJob[], axis: Axis): Grid {
  if (axis === 'share') return { step: 100 / POINTS, place: (job, at) => (at / 100) * job.duration }
  if (axis === 'elapsed') return { step: stepOf(Math.max(...jobs.map(({ duration }) => duration))), place: (_, at) => at }
  const origin = firstStart(jobs)
  const end = Math.max(...jobs.map((job) => started(job) + job.duration))
  return { step: stepOf(end - origin), place: (job, at) => at + origin - started(job) }
}

const stepOf = (seconds: number) => Math.max(1, seconds / POINTS)

function curveOf(
  name: string,
  jobs: ComparedJob[],
  medians: ReadonlyMap<string, MedianSeries[]>,
  grid: Grid,
  config: MetricConfig | undefined,
): Curve {
  const found = jobs.map(({ id }) => medians.get(id)?.find((one) => one.name === name))
  const lines = jobs.map((job, index) => {
    const values = found[index]?.median ?? []
    return { label: `${letter(index)} ${String(job.jobId)}`, mean: mean(values), values: resampled(job, found[index], grid) }
  })
  return {
    key: name,
    title: (config?.displayName ?? '') || name,
    description: config?.description ?? '',
    unit: found.find((one) => one)?.unit ?? { base: '', prefix: null },
    timestep: grid.step,
    lines,
    band: null,
    thresholds: [],
    series: lines.length,
    scope: 'node',
    mean: mean(lines.map((line) => line.mean)),
    largest: Math.max(0, ...found.flatMap((one) => one?.median.map((value) => value ?? 0) ?? [])),
    worst: [],
    worstIs: 'lowest',
  }
}

function resampled(job: ComparedJob, series: MedianSeries | undefined, { step, place }: Grid): Values {
  if (!series) return []
  return Array.from({ length: POINTS + 1 }, (_, index) => {
    const at = Math.floor(place(job, index * step) / series.timestep)
    return series.median[at] ?? null
  })
}

function mean(values: Values): number {
  const given = values.filter((value) => value !== null && !Number.isNaN(value)) as number[]
  return given.length ? given.reduce((sum, value) => sum + value, 0) / given.length : Number.NaN
}

export const sentence = ({ title, unit, lines }: Curve): string =>
  `${title} of ${String(lines.length)} jobs, mean of the median: ${lines.map((line) => `${line.label} ${withUnit(line.mean, unit)}`).join(', ')}`
