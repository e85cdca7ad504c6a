import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/bands.graphql?raw'
import type { JobsBandsQuery, JobsBandsQueryVariables } from './types.ts'

/** The band of a metric over the nodes of a job. Element b of a list begins b timesteps after the start. */
export type Band = JobsBandsQuery['jobsMetrics'][number]['metrics'][number]

const BANDS = only(text, 'JobsBands')

/** By job. Jobs whose data cannot be read are absent, and so are metrics without data. Raises ApiError. */
export async function jobsBands(ids: string[], metrics: string[], points: number, signal?: AbortSignal): Promise<Map<string, Band[]>> {
  const { jobsMetrics } = await query<JobsBandsQuery, JobsBandsQueryVariables>(BANDS, { ids, metrics, points }, signal)
  return new Map(jobsMetrics.map(({ id, metrics }) => [String(id), metrics]))
}
