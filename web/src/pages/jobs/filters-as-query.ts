import type { JobFilter } from '../../api/jobs.ts'
import type { JobEvent } from '../../live/protocol.ts'
import type { Filters, Range, TimeSpan } from './filters.ts'
import { RANGES, TIMES } from './filters.ts'

/** The filter of GraphQL. One user is looked for as a part of names, as in cc-backend, unless `userMatch=eq`. */
export function asQuery(filters: Filters): JobFilter[] {
  const filter: JobFilter = {}
  for (const key of ['cluster', 'subCluster', 'partition'] as const) if (filters[key]) filter[key] = { eq: filters[key] }
  if (filters.project) filter.project = { [filters.projectMatch ?? 'eq']: filters.project }
  if (filters.node) filter.node = { [filters.nodeMatch ?? 'eq']: filters.node }
  if (filters.jobName) filter.jobName = { contains: filters.jobName }
  if (filters.user)
    filter.user = filters.user.length > 1 ? { in: filters.user } : { [filters.userMatch ?? 'contains']: filters.user[0] ?? '' }
  if (filters.jobId)
    filter.jobId = filters.jobId.length > 1 ? { in: filters.jobId } : { [filters.jobIdMatch ?? 'eq']: filters.jobId[0] ?? '' }
  if (filters.state) filter.state = filters.state
  if (filters.tag) filter.tags = filters.tag
  const { tagAll, tagNone } = filters
  if (tagAll ?? tagNone) filter.tagged = { ...(tagAll && { all: tagAll }), ...(tagNone && { none: tagNone }) }
  if (filters.dbId) filter.dbId = filters.dbId
  if (filters.shared) filter.shared = filters.shared
  if (filters.schedule) filter.schedule = filters.schedule
  if (filters.arrayJobId) filter.arrayJobId = filters.arrayJobId
  for (const key of RANGES) {
    const range = filters[key]
    if (range) filter[key] = key === 'energy' ? range : { from: Math.floor(range.from), to: Math.ceil(range.to) }
  }
  for (const key of TIMES) {
    const span = filters[key]
    if (span) filter[key] = 'range' in span ? span : { ...(span.from && { from: iso(span.from) }), ...(span.to && { to: iso(span.to) }) }
  }
  if (filters.stat) filter.metricStats = filters.stat.map(({ name, from, to }) => ({ metricName: name, range: { from, to } }))
  return Object.keys(filter).length ? [filter] : []
}

const iso = (seconds: number) => new Date(seconds * 1000).toISOString()

const within = (value: number, range: Range | undefined) => !range || (value >= range.from && (range.to === 0 || value <= range.to))
const has = (values: string[] | undefined, value: string) => !values || values.includes(value)
const ranIn = (job: JobEvent, span: TimeSpan | undefined) =>
  !span ||
  'range' in span ||
  ((!span.to || job.startTime < span.to) && (job.jobState === 'running' || job.startTime + job.duration > span.from))
const is = (wanted: string | undefined, value: string | undefined) => !wanted || wanted === value

const isJob = ({ jobId, jobIdMatch }: Filters, value: string) =>
  jobIdMatch && jobId?.length === 1 ? value.includes(jobId[0] ?? '') : has(jobId, value)
const hasTags = ({ tag, tagAll = [], tagNone = [] }: Filters, tags: ReadonlySet<string>) =>
  (!tag || tag.some((id) => tags.has(id))) && tagAll.every((id) => tags.has(id)) && !tagNone.some((id) => tags.has(id))

/** Changes lack what these filters compare, so whether a changed job belongs to the list is known from the next count only. */
export const isDecidable = (filters: Filters) => !filters.jobName && !filters.node && !filters.schedule && !filters.energy && !filters.stat

/** Whether a job that just changed belongs to the list, as far as the filters are decidable from a change. */
export function fits(filters: Filters, job: JobEvent): boolean {
  const user = filters.user
  const span = filters.startTime
  return (
    is(filters.cluster, job.cluster) &&
    is(filters.subCluster, job.subCluster) &&
    is(filters.partition, job.partition) &&
    is(filters.shared, job.shared) &&
    (!filters.project || (filters.projectMatch ? job.project.includes(filters.project) : job.project === filters.project)) &&
    (!user || (user.length === 1 && filters.userMatch !== 'eq' ? job.user.includes(user[0] ?? '') : user.includes(job.user))) &&
    isJob(filters, String(job.jobId)) &&
    has(filters.state, job.jobState) &&
    has(filters.dbId, String(job.id)) &&
    hasTags(filters, new Set((job.tags ?? []).map((tag) => String(tag.id)))) &&
    (!filters.arrayJobId || filters.arrayJobId === job.arrayJobId) &&
    (!span || 'range' in span || within(job.startTime, span)) &&
    ranIn(job, filters.overlaps) &&
    within(job.duration, filters.duration) &&
    within(job.numNodes, filters.numNodes) &&
    within(job.numHwthreads ?? 0, filters.numHWThreads) &&
    within(job.numAcc ?? 0, filters.numAccelerators)
  )
}
