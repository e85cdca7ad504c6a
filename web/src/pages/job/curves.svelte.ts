import type { MetricConfig } from '../../api/metrics.ts'
import type { MetricSeries } from '../../api/series.ts'
import type { Curve } from '../../charts/curve.ts'
import { curvesOf, missingOf, offeredScopes } from './curves.ts'
import { JobDetails } from './details.svelte.ts'
import { continued, sinceOf } from './growing.ts'
import { ARCHIVED, POINTS, wishOf, type CurvesApi, type CurvesJob } from './wishes.ts'

const MIN_RELOAD_S = 10
const DEFAULT_RELOAD_S = 60

/** The curves of a job. They stay until newer ones are there; those of a running job take what is new while the page is visible. */
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
  #configs: MetricConfig[] = []
  /** As loaded at once, without what came later. */
  #whole: MetricSeries[] = []
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
    try {
      const [found, configs] = await Promise.all([
        this.#api.jobSeries(job.id, { ...wishOf(job, scope), withBand: true }, asked.signal),
        this.#api.metricConfigs(job.cluster, job.subCluster).catch(() => []), // without thresholds, then
      ])
      if (asked.signal.aborted) return
      ;[this.#whole, this.#configs] = [found, configs]
      this.#take(found)
      void this.#findScopes(job, configs)
    } catch (e) {
      if (asked.signal.aborted) return
      this.failure = said(e)
    }
    this.#later(job)
  }

  /** What is new of the curves and of the series behind them, in one request. */
  async #grow(job: CurvesJob, from: number): Promise<void> {
    const scope = this.#scope
    const asked = (this.#asked = new AbortController())
    try {
      const wish = { ...wishOf(job, scope), withBand: true, from, details: this.details.names }
      const { curves, details } = await this.#api.newSeries(job.id, wish, asked.signal)
      if (asked.signal.aborted) return
      const found = continued(this.#whole, curves)
      if (!found) return await this.#loadAll()
      this.#take(found)
      await this.details.extend(details)
      if (asked.signal.aborted) return
    } catch (e) {
      if (asked.signal.aborted) return
      this.failure = said(e)
    }
    this.#later(job)
  }

  #take(found: MetricSeries[]): void {
    this.curves = curvesOf(found, this.#configs, this.#scope)
    this.missing = missingOf(this.curves, this.#configs)
    this.failure = ''
    this.isLoaded = true
  }

  /** On the shortest timestep, as long as the job runs. */
  #later(job: CurvesJob): void {
    const steps = this.#configs.map(({ timestep }) => timestep)
    const reloadS = steps.length ? Math.max(MIN_RELOAD_S, Math.min(...steps)) : DEFAULT_RELOAD_S
    clearTimeout(this.#timer)
    if (job.state === 'running') this.#timer = setTimeout(() => void this.#reload(), reloadS * 1000)
  }

  async #findScopes(job: CurvesJob, configs: MetricConfig[]): Promise<void> {
    const stored = job.monitoringStatus === ARCHIVED ? await this.#api.archivedScopes(job.id).catch(() => []) : []
    if (job.id === this.#job?.id) this.scopes = offeredScopes(stored, configs, job.numAcc)
  }

  setVisible(isVisible: boolean): void {
    this.#isVisible = isVisible
    if (isVisible && this.#isDue) void this.#reload()
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#timer)
    this.details.close()
  }

  async #reload(): Promise<void> {
    this.#isDue = !this.#isVisible
    const job = this.#job
    if (this.#isDue || !job) return
    const since = sinceOf(this.#whole, (Date.now() - Date.parse(job.startTime)) / 1000)
    if (since === null) await this.#loadAll()
    else await this.#grow(job, since)
  }

  async #loadAll(): Promise<void> {
    await Promise.all([this.load(), this.details.refresh()])
  }
}

const said = (e: unknown) => (e instanceof Error ? e.message : String(e))
