import { only } from './documents.ts'
import { query } from './graphql.ts'
import { withTextIds } from './jobs.ts'
import { metrics } from './metrics.ts'
import text from './queries/compare.graphql?raw'
import jobsText from './queries/jobs.graphql?raw'
import type {
  CompareBandsQuery,
  CompareBandsQueryVariables,
  CompareJobsQuery,
  CompareJobsQueryVariables,
  CompareStatisticsQuery,
  CompareStatisticsQueryVariables,
  JobsWithNumberQuery,
  JobsWithNumberQueryVariables,
} from './types.ts'

export type ComparedJob = CompareJobsQuery['jobs']['items'][number]
export type Statistics = CompareStatisticsQuery['jobsMetricStats'][number]['stats']
export type MedianSeries = CompareBandsQuery['jobsMetrics'][number]['metrics'][number]
export type FoundJob = JobsWithNumberQuery['jobs']['items'][number]

const JOBS = only(`${text}\n${jobsText}`, 'CompareJobs')
const STATISTICS = only(text, 'CompareStatistics')
const BANDS = only(text, 'CompareBands')
const WITH_NUMBER = only(text, 'JobsWithNumber')

const byIds = (ids: string[]) => [{ dbId: ids }]

/** Those of the jobs that exist and that the viewer may see, in any order. Raises ApiError. */
export async function comparedJobs(ids: string[], signal: AbortSignal): Promise<ComparedJob[]> {
  const page = { page: 1, itemsPerPage: ids.length }
  const { jobs } = await query<CompareJobsQuery, CompareJobsQueryVariables>(JOBS, { filter: byIds(ids), page }, signal)
  return jobs.items.map(withTextIds)
}

/** By job, of the metrics that it has. Raises ApiError. */
export async function comparedStatistics(ids: string[], signal: AbortSignal): Promise<Map<string, Statistics>> {
  const names = [...(await metrics()).keys()]
  const variables = { filter: byIds(ids), metrics: names }
  const answer = await query<CompareStatisticsQuery, CompareStatisticsQueryVariables>(STATISTICS, variables, signal)
  return new Map(answer.jobsMetricStats.map(({ id, stats }) => [String(id), stats.filter(({ hasData }) => hasData)]))
}

/** The median over the nodes of a job, by job, with at most `points` values each. Raises ApiError. */
export async function medians(ids: string[], points: number, signal: AbortSignal): Promise<Map<string, MedianSeries[]>> {
  const { jobsMetrics } = await query<CompareBandsQuery, CompareBandsQueryVariables>(BANDS, { ids, points }, signal)
  return new Map(jobsMetrics.map(({ id, metrics: found }) => [String(id), found]))
}

/** The newest jobs that the schedulers gave this number. Raises ApiError. */
export async function jobsWithNumber(number: string, signal?: AbortSignal): Promise<FoundJob[]> {
  const filter = [{ jobId: { eq: number } }]
  const { jobs } = await query<JobsWithNumberQuery, JobsWithNumberQueryVariables>(WITH_NUMBER, { filter }, signal)
  return jobs.items.map((job) => ({ ...job, id: String(job.id) }))
}
