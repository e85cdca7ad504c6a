/** From the bands of a job to its small plots. Pure. */

import type { Band } from '../../api/bands.ts'
import type { JobRow } from '../../api/jobs.ts'
import type { Metric, MetricConfig } from '../../api/metrics.ts'
import { extent, thresholdsOf } from '../../charts/curve.ts'
import type { Spark } from '../../charts/spark.ts'
import { significant, scaled, withUnit, type MetricUnit } from '../../lib/formats/number.ts'

/** A metric of a job. `spark` is null if the job has no samples of it. */
export interface PlotCell {
  metric: string
  title: string
  unit: MetricUnit
  scope: string
  spark: Spark | null
  mean: number
  largest: number
}

type PlottedJob = Pick<JobRow, 'state' | 'duration'>

/** One for each of the metrics, in their order. */
export function cellsOf(
  job: PlottedJob,
  names: string[],
  bands: Band[],
  known: ReadonlyMap<string, Metric>,
  configs: MetricConfig[],
): PlotCell[] {
  const ends = bands.map(({ timestep, median }) => timestep * median.length)
  const until = Math.max(1, job.state === 'running' ? 0 : job.duration, ...ends)
  return names.map((name) => {
    const band = bands.find((one) => one.name === name)
    const values = band?.median.filter((value) => value !== null) ?? []
    return {
      metric: name,
      title: titleOf(known.get(name), name),
      unit: band?.unit ?? known.get(name)?.unit ?? { base: '', prefix: null },
      scope: band?.scope ?? 'node',
      spark: band && values.length ? { ...band, until, thresholds: thresholdsOf(configs.find((one) => one.name === name)) } : null,
      mean: values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length),
      largest: extent(band?.max ?? [])[1] ?? 0,
    }
  })
}

export const titleOf = (metric: Metric | undefined, name: string): string => (metric?.displayName ?? '') || name

/** The mean and the largest value, in one unit. */
export function summary({ mean, largest, unit }: PlotCell): string {
  const { factor, unit: shown } = scaled(largest, unit)
  return `${significant(mean * factor)} · ${significant(largest * factor)} ${shown}`.trimEnd()
}

/** The value at a part of the time axis, 0 to 1; with the range if the nodes differ. */
export function valueAt(cell: PlotCell, part: number): string {
  const { spark, unit } = cell
  if (!spark) return ''
  const index = Math.floor((part * spark.until) / spark.timestep)
  const median = spark.median[index]
  if (median === null || median === undefined) return '–'
  const { factor, unit: shown } = scaled(cell.largest, unit)
  const [low, middle, high] = [spark.min[index] ?? median, median, spark.max[index] ?? median].map((value) => significant(value * factor))
  return `${low === high ? String(middle) : `${String(low)} … ${String(middle)} … ${String(high)}`} ${shown}`.trimEnd()
}

/** For those who do not see the plot. */
export function sentence(cell: PlotCell, jobId: number): string {
  const start = `${cell.title} of job ${String(jobId)}: `
  if (!cell.spark) return `${start}no samples`
  return `${start}mean ${withUnit(cell.mean, cell.unit)}, largest ${withUnit(cell.largest, cell.unit)}`
}
