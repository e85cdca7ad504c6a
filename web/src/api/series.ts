import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/series.graphql?raw'
import type { JobSeriesQuery, JobSeriesQueryVariables } from './types.ts'

/** A metric at one scope. Element b of a list begins b timesteps after the start. */
export type MetricSeries = JobSeriesQuery['jobMetrics'][number]
export type Series = NonNullable<MetricSeries['metric']['series']>[number]

const SERIES = only(text, 'JobSeries')

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
