/** Series of a running job: what was loaded once, continued by what is new. Pure. */

import type { MetricSeries, Series } from '../../api/series.ts'
import type { Values } from '../../charts/curve.ts'

type Metric = MetricSeries['metric']
interface Whole {
  name: string
  scope: string
  metric: Pick<Metric, 'timestep' | 'series'> & { statisticsSeries?: Metric['statisticsSeries'] }
}
type Part = Whole & { metric: { from: number } }

const AGAIN = 2 // buckets that may have been incomplete
const MAX_NEW = 60 // buckets; beyond it everything is loaded again

/** Where the new part of all metrics begins, in seconds since the start; null if it would be long. `age` in seconds. */
export function sinceOf(whole: readonly Whole[], age: number): number | null {
  const ends = whole.map((one) => Math.max(0, lengthOf(one) - AGAIN) * one.metric.timestep)
  const since = Math.min(...ends)
  const finest = Math.min(...whole.map(({ metric }) => metric.timestep))
  return since > 0 && Number.isFinite(since) && (age - since) / finest <= MAX_NEW ? since : null
}

/** Null if the part does not continue the whole: buckets have become longer, or there are new metrics or series. */
export function continued<T extends Whole>(whole: readonly T[], parts: readonly Part[]): T[] | null {
  const left = new Map(parts.map((part) => [keyOf(part), part]))
  const found: T[] = []
  for (const one of whole) {
    const part = left.get(keyOf(one))
    left.delete(keyOf(one))
    const next = part ? joined(one, part) : one
    if (!next) return null
    found.push(next)
  }
  return left.size ? null : found
}

const keyOf = ({ name, scope }: Whole) => `${name} ${scope}`
const placeOf = ({ hostname, id }: Series) => `${hostname} ${id ?? ''}`

const lengthOf = ({ metric }: Whole): number =>
  Math.max(0, metric.statisticsSeries?.min.length ?? 0, ...(metric.series ?? []).map(({ data }) => data?.length ?? 0))

function joined<T extends Whole>(whole: T, part: Part): T | null {
  const { timestep, from } = part.metric
  if (timestep !== whole.metric.timestep) return null
  const kept = from / timestep
  const added = lengthOf(part)
  const join = (before: Values, after: Values) => [...padded(before, kept), ...padded(after, added)]
  const left = new Map((part.metric.series ?? []).map((one) => [placeOf(one), one]))
  const series = (whole.metric.series ?? []).map((one): Series => {
    const next = left.get(placeOf(one))
    left.delete(placeOf(one))
    return {
      ...one,
      statistics: next ? together(one.statistics, kept, next.statistics, added) : one.statistics,
      ...(one.data ? { data: join(one.data, next?.data ?? []) } : {}),
    }
  })
  if (left.size) return null
  const [band, more] = [whole.metric.statisticsSeries, part.metric.statisticsSeries]
  const statisticsSeries =
    band && more
      ? {
          min: join(band.min, more.min),
          max: join(band.max, more.max),
          mean: band.mean.length ? join(band.mean, more.mean) : [],
          median: band.median.length ? join(band.median, more.median) : [],
        }
      : band
  return { ...whole, metric: { ...whole.metric, series, ...(band ? { statisticsSeries } : {}) } }
}

const padded = (values: Values, length: number): Values =>
  values.length >= length ? values.slice(0, length) : [...values, ...Array<null>(length - values.length).fill(null)]

/** The mean weighs both parts by their lengths; the few values that are in both count twice. */
function together(before: Series['statistics'], kept: number, after: Series['statistics'], added: number): Series['statistics'] {
  if (!before || !after) return before ?? after
  return {
    avg: (before.avg * kept + after.avg * added) / Math.max(1, kept + added),
    min: Math.min(before.min, after.min),
    max: Math.max(before.max, after.max),
  }
}
