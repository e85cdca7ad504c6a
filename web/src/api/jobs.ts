import { query, request } from './graphql.ts'
import { metricConfigs, metrics } from './metrics.ts'
import jobText from './queries/job.graphql?raw'
import jobsText from './queries/jobs.graphql?raw'
import type {
  JobFilter,
  JobCountQuery,
  JobCountQueryVariables,
  JobListQuery,
  JobNodeEventsQuery,
  JobNodeEventsQueryVariables,
  JobListQueryVariables,
  JobOfClusterQuery,
  JobOfClusterQueryVariables,
  JobRowFragment,
  JobScopesQuery,
  JobScopesQueryVariables,
  JobStatisticsQuery,
  JobStatisticsQueryVariables,
  JobViewQuery,
  JobViewQueryVariables,
} from './types.ts'
import { only } from './documents.ts'

export type JobRow = JobRowFragment
export type Job = NonNullable<JobViewQuery['job']>
export type JobNodeEvent = JobNodeEventsQuery['jobNodeEvents'][number]
export type JobStatistics = JobStatisticsQuery['jobStats']
export type JobListVariables = JobListQueryVariables
export type { JobFilter } from './types.ts'

const LIST = only(jobsText, 'JobList')
const COUNT = only(jobsText, 'JobCount')
const VIEW = only(`${jobText}\n${jobsText}`, 'JobView')
const STATISTICS = only(jobText, 'JobStatistics')
const NODE_EVENTS = only(jobText, 'JobNodeEvents')
const SCOPES = only(jobText, 'JobScopes')
const OF_CLUSTER = only(jobText, 'JobOfCluster')

/** The gateway writes ids as numbers, as cc-backend does; here they are texts, as GraphQL has them and as changes are compared. */
export function withTextIds<J extends { id: string; tags: { id: string }[] }>(job: J): J {
  return { ...job, id: String(job.id), tags: job.tags.map((tag) => ({ ...tag, id: String(tag.id) })) }
}

export async function jobList(variables: JobListVariables, signal?: AbortSignal): Promise<{ rows: JobRow[]; count: number }> {
  const { jobs } = await query<JobListQuery, JobListQueryVariables>(LIST, variables, signal)
  return { rows: jobs.items.map(withTextIds), count: jobs.count ?? 0 }
}

export async function jobCount(filter: JobCountQueryVariables['filter'], signal?: AbortSignal): Promise<number> {
  const { jobs } = await query<JobCountQuery, JobCountQueryVariables>(COUNT, { filter: filter ?? null }, signal)
  return jobs.count ?? 0
}

/** Null for a job that does not exist or that the viewer may not see. */
export async function job(id: string, signal?: AbortSignal): Promise<Job | null> {
  const { job } = await query<JobViewQuery, JobViewQueryVariables>(VIEW, { id }, signal)
  return job && withTextIds(job)
}

/** Of the metrics of the job's subcluster that it has and that the viewer may see. */
export async function jobStatistics({ id, cluster, subCluster }: Job, signal?: AbortSignal): Promise<JobStatistics> {
  const [known, configs] = await Promise.all([metrics(), metricConfigs(cluster, subCluster).catch(() => [])])
  const own = configs.map(({ name }) => name).filter((name) => known.has(name))
  const names = own.length ? own : [...known.keys()] // without names the gateway answers no statistics, as cc-backend
  const { jobStats } = await query<JobStatisticsQuery, JobStatisticsQueryVariables>(STATISTICS, { id, metrics: names }, signal)
  return jobStats.filter(({ hasData }) => hasData)
}

/** When nodes of a job were out of use while it ran, and when they came back. Raises ApiError. */
export const jobNodeEvents = async (id: string, signal?: AbortSignal): Promise<JobNodeEvent[]> =>
  (await query<JobNodeEventsQuery, JobNodeEventsQueryVariables>(NODE_EVENTS, { id }, signal)).jobNodeEvents

/** The newest other jobs of the same user with the same name, or without a name in the same project. */
export async function similarJobs(of: Job, signal?: AbortSignal): Promise<JobRow[]> {
  const same: JobFilter = of.jobName ? { jobName: { eq: of.jobName } } : { project: { eq: of.project } }
  const filter = [{ user: { eq: of.user }, cluster: { eq: of.cluster }, ...same }]
  const order = { field: 'startTime', type: 'col', order: 'DESC' as const }
  const { rows } = await jobList({ filter, page: { page: 1, itemsPerPage: MAX_SIMILAR + 1 }, order }, signal)
  return rows.filter(({ id }) => id !== of.id).slice(0, MAX_SIMILAR)
}
const MAX_SIMILAR = 5

/** Replaces the note of a job, which an empty text removes. Raises ApiError. */
export async function storeNote(id: string, note: string): Promise<void> {
  const body = JSON.stringify({ note })
  await request(`frontend/jobs/${id}/note/`, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body })
}

/** The scopes that an archived job has values at; none of a running job. Raises ApiError. */
export async function archivedScopes(id: string, signal?: AbortSignal): Promise<string[]> {
  const { scopedJobStats } = await query<JobScopesQuery, JobScopesQueryVariables>(SCOPES, { id }, signal)
  return [...new Set(scopedJobStats.map(({ scope }) => scope))]
}

/** The id of the latest run of a job of the scheduler, null if there is none. */
export async function jobOfCluster(cluster: string, jobId: string, signal?: AbortSignal): Promise<string | null> {
  const filter = [{ cluster: { eq: cluster }, jobId: { eq: jobId } }]
  const { jobs } = await query<JobOfClusterQuery, JobOfClusterQueryVariables>(OF_CLUSTER, { filter }, signal)
  const found = jobs.items[0]
  return found ? String(found.id) : null
}
