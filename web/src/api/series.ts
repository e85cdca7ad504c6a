import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/series.graphql?raw'
import type { JobSeriesQuery, JobSeriesQueryVariables, NewSeriesQuery, NewSeriesQueryVariables } from './types.ts'

/** A metric at one scope. Element b of a list begins b timesteps after the start. */
export type MetricSeries = JobSeriesQuery['jobMetrics'][number]
export type Series = NonNullable<MetricSeries['metric']['series']>[number]

/** What is new of a metric, and of its series with samples. Lists begin at `from`, in seconds since the start. */
export type NewMetricSeries = NewSeriesQuery['jobMetrics'][number]
export type NewDetails = NonNullable<NewSeriesQuery['details']>[number]

const SERIES = only(text, 'JobSeries')
const NEW = only(text, 'NewSeries')

export interface SeriesWish {
  points: number
  /** All metrics if left out. */
  metrics?: string[]
  scope: string
  withLines: boolean
  withBand: boolean
}

/**
 * With at most `points` values each. A metric without values at `scope` comes at all scopes that it has; one without data is absent.
 * Raises ApiError.
 */
export async function jobSeries(id: string, wish: SeriesWish, signal?: AbortSignal): Promise<MetricSeries[]> {
  const { scope, metrics, ...rest } = wish
  const variables = { id, metrics: metrics ?? null, scopes: [scope], ...rest }
  return (await query<JobSeriesQuery, JobSeriesQueryVariables>(SERIES, variables, signal)).jobMetrics
}

export interface NewSeriesWish extends Omit<SeriesWish, 'metrics'> {
  /** Seconds since the start of the job. */
  from: number
  /** Metrics whose series are wanted with samples, whatever `withLines` says. */
  details: string[]
}

/** What is new of all metrics, and of the series of some, in one request. Raises ApiError. */
export async function newSeries(
  id: string,
  { scope, ...wish }: NewSeriesWish,
  signal?: AbortSignal,
): Promise<{ curves: NewMetricSeries[]; details: NewDetails[] }> {
  const variables = { id, scopes: [scope], ...wish, withDetails: wish.details.length > 0 }
  const { jobMetrics, details } = await query<NewSeriesQuery, NewSeriesQueryVariables>(NEW, variables, signal)
  return { curves: jobMetrics, details: details ?? [] }
}
