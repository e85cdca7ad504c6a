import { query } from './graphql.ts'
import { only } from './documents.ts'
import text from './queries/histograms.graphql?raw'
import type { JobFilter, JobHistogramsQuery, JobHistogramsQueryVariables } from './types.ts'

export type JobHistograms = JobHistogramsQuery

const HISTOGRAMS = only(text, 'JobHistograms')

/** Jobs by duration, in bins of five widths, by nodes and accelerators, and by `bins` parts of the range of each metric. Raises ApiError. */
export const jobHistograms = (filter: JobFilter[], metrics: string[], bins: number, signal?: AbortSignal): Promise<JobHistograms> =>
  query<JobHistogramsQuery, JobHistogramsQueryVariables>(HISTOGRAMS, { filter, metrics, bins }, signal)
