import { ApiError } from '../../api/graphql.ts'
import type { Job, JobNodeEvent, JobRow, JobStatistics } from '../../api/jobs.ts'
import type { Change } from '../../live/protocol.ts'
import { patched } from '../jobs/patch.ts'

export interface JobApi {
  job: (id: string) => Promise<Job | null>
  jobStatistics: (job: Job) => Promise<JobStatistics>
  jobNodeEvents: (id: string) => Promise<JobNodeEvent[]>
  similarJobs: (job: Job) => Promise<JobRow[]>
  jobOfCluster: (cluster: string, jobId: string) => Promise<string | null>
}

/** One job. `isMissing`: it does not exist, or the viewer may not see it. */
export class JobView {
  job = $state.raw<Job | null>(null)
  statistics = $state.raw<JobStatistics | null>(null)
  statisticsFailure = $state('')
  similar = $state.raw<JobRow[]>([])
  /** What happened to its nodes; none if that cannot be had. */
  nodeEvents = $state.raw<JobNodeEvent[]>([])
  failure = $state('')
  isMissing = $state(false)
  isDeleted = $state(false)
  readonly #api: JobApi
  #id = ''

  constructor(api: JobApi) {
    this.#api = api
  }

  /** By the database id, or by the cluster and the scheduler's number: then the latest run. */
  async show({ id, cluster, jobId }: Record<string, string>): Promise<void> {
    try {
      const found = id ?? (cluster && jobId ? await this.#api.jobOfCluster(cluster, jobId) : null)
      if (found !== this.#id) {
        this.job = null
        this.statistics = null
        this.similar = []
        this.nodeEvents = []
        this.isDeleted = false
      }
      this.#id = found ?? ''
      await this.load()
    } catch (e) {
      this.failure = said(e)
    }
  }

  async load(): Promise<void> {
    const id = this.#id
    try {
      const job = id ? await this.#api.job(id) : null
      if (id !== this.#id) return
      this.job = job
      this.isMissing = job === null
      this.failure = ''
      if (!job) return
      void this.#loadStatistics(job)
      const events = await this.#api.jobNodeEvents(id).catch(() => [])
      if (id === this.#id) this.nodeEvents = events
    } catch (e) {
      if (id !== this.#id) return
      if (e instanceof ApiError && e.code === 'NOT_FOUND') this.isMissing = true
      else this.failure = said(e)
    }
  }

  /** What the viewer changed. */
  patch(changes: Partial<Job>): void {
    if (this.job) this.job = { ...this.job, ...changes }
  }

  changes(changes: Change[]): void {
    const own = changes.find((change) => change.id === this.#id && change.kind !== 'node')
    if (!own || !this.job) return
    if (own.kind === 'job_deleted') this.isDeleted = true
    if (own.kind !== 'job') return
    const hasEnded = this.job.state === 'running' && own.job.jobState !== 'running'
    const wasArchived = this.job.monitoringStatus !== (own.job.monitoringStatus ?? 0)
    const advice = this.job.advice
    this.job = { ...this.job, ...patched(this.job, own.job), advice }
    if (hasEnded || wasArchived || (own.job.advice?.length ?? 0) !== advice.length) void this.load()
  }

  async #loadStatistics(job: Job): Promise<void> {
    try {
      const statistics = await this.#api.jobStatistics(job)
      if (job.id === this.#id) this.statistics = statistics
      this.statisticsFailure = ''
      const similar = await this.#api.similarJobs(job)
      if (job.id === this.#id) this.similar = similar
    } catch (e) {
      this.statisticsFailure = said(e)
    }
  }
}

const said = (e: unknown) => (e instanceof Error ? e.message : String(e))
