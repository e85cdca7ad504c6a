import type { Job } from '../../api/jobs.ts'
import type { MetricConfig } from '../../api/metrics.ts'
import type { MetricSeries, SeriesWish } from '../../api/series.ts'
import { MAX_LINES, type Curve } from '../../charts/curve.ts'
import { curvesOf, missingOf, offeredScopes } from './curves.ts'
import { JobDetails } from './details.svelte.ts'

export interface CurvesApi {
  jobSeries: (id: string, wish: SeriesWish, signal?: AbortSignal) => Promise<MetricSeries[]>
  archivedScopes: (id: string) => Promise<string[]>
  metricConfigs: (cluster: string, subCluster: string) => Promise<MetricConfig[]>
}

export type CurvesJob = Pick<Job, 'id' | 'cluster' | 'subCluster' | 'state' | 'monitoringStatus' | 'numNodes' | 'numAcc'>

const ARCHIVED = 3 // of monitoringStatus
export const POINTS = 300 // about one for two pixels of a plot
const MIN_RELOAD_S = 10
const DEFAULT_RELOAD_S = 60
const FEW_PARTS = ['socket', 'memoryDomain', 'accelerator'] // a node has few of them

/** The curves of a job. They stay until newer ones are there; those of a running job are asked again while the page is visible. */
export class JobCurves {
  curves = $state.raw<Curve[]>([])
  /** Metrics that the subcluster has and the job lacks. */
  missing = $state.raw<string[]>([])
  failure = $state('')
  /** What the viewer may choose from. */
  scopes = $state.raw<string[]>(['node'])
  isLoaded = $state(false)
  readonly details: JobDetails
  readonly #api: CurvesApi
  #job: CurvesJob | null = null
  #scope = 'node'
  #asked: AbortController | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #isVisible = true
  #isDue = false

  constructor(api: CurvesApi) {
    this.#api = api
    this.details = new JobDetails(api.jobSeries)
  }

  /** Asks only if it is another job or scope, or if its samples come from elsewhere since it ended or was archived. */
  async show(job: CurvesJob, scope = 'node'): Promise<void> {
    const [before, hadScope] = [this.#job, this.#scope]
    this.#job = job
    this.#scope = scope
    this.details.of(job.id, POINTS, scope)
    if (before?.id !== job.id) {
      this.curves = []
      this.missing = []
      this.failure = ''
      this.isLoaded = false
    } else if (scope === hadScope && before.state === job.state && before.monitoringStatus === job.monitoringStatus) return
    await this.load()
  }

  async load(): Promise<void> {
    const job = this.#job
    const scope = this.#scope
    if (!job) return
    this.#asked?.abort()
    clearTimeout(this.#timer)
    const asked = (this.#asked = new AbortController())
    let reloadS = DEFAULT_RELOAD_S
    try {
      const [found, configs] = await Promise.all([
        this.#api.jobSeries(job.id, { points: POINTS, scope, withLines: hasFewSeries(job, scope), withBand: true }, asked.signal),
        this.#api.metricConfigs(job.cluster, job.subCluster).catch(() => []), // without thresholds, then
      ])
      if (asked.signal.aborted) return
      this.curves = curvesOf(found, configs, scope)
      this.missing = missingOf(this.curves, configs)
      void this.#findScopes(job, configs)
      this.failure = ''
      this.isLoaded = true
      if (configs.length) reloadS = Math.max(MIN_RELOAD_S, Math.min(...configs.map(({ timestep }) => timestep)))
    } catch (e) {
      if (asked.signal.aborted) return
      this.failure = e instanceof Error ? e.message : String(e)
    }
    if (job.state === 'running') this.#timer = setTimeout(() => this.#reload(), reloadS * 1000)
  }

  async #findScopes(job: CurvesJob, configs: MetricConfig[]): Promise<void> {
    const stored = job.monitoringStatus === ARCHIVED ? await this.#api.archivedScopes(job.id).catch(() => []) : []
    if (job.id === this.#job?.id) this.scopes = offeredScopes(stored, configs, job.numAcc)
  }

  setVisible(isVisible: boolean): void {
    this.#isVisible = isVisible
    if (isVisible && this.#isDue) this.#reload()
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#timer)
    this.details.close()
  }

  #reload(): void {
    this.#isDue = !this.#isVisible
    if (!this.#isDue) void Promise.all([this.load(), this.details.refresh()])
  }
}

const hasFewSeries = ({ numNodes }: CurvesJob, scope: string) =>
  scope === 'node' ? numNodes <= MAX_LINES : numNodes === 1 && FEW_PARTS.includes(scope)
