import type { Band } from '../../api/bands.ts'
import type { JobRow } from '../../api/jobs.ts'
import type { MetricConfig } from '../../api/metrics.ts'

export interface PlotsApi {
  jobsBands: (ids: string[], metrics: string[], points: number, signal?: AbortSignal) => Promise<Map<string, Band[]>>
  metricConfigs: (cluster: string, subCluster: string) => Promise<MetricConfig[]>
}

export type PlotsJob = Pick<JobRow, 'id' | 'cluster' | 'subCluster' | 'state' | 'monitoringStatus'>

const POINTS = 64
const MAX_JOBS = 50 // of one request
const GATHER_MS = 40 // rows come into view one by one
const MIN_RELOAD_S = 10
const DEFAULT_RELOAD_S = 60

/** The bands of the jobs in view, asked together. They stay until newer ones are there; those of running jobs are asked again. */
export class JobPlots {
  bands = $state.raw<ReadonlyMap<string, Band[]>>(new Map())
  configs = $state.raw<ReadonlyMap<string, MetricConfig[]>>(new Map())
  failure = $state('')
  readonly #api: PlotsApi
  #jobs: ReadonlyMap<string, PlotsJob> = new Map()
  #metrics: string[] = []
  readonly #near = new Set<string>()
  #previewed: string | null = null
  /** By job, what its bands were asked for. */
  readonly #answered = new Map<string, string>()
  #asked: AbortController | null = null
  #gather: ReturnType<typeof setTimeout> | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #isVisible = true
  #isDue = false

  constructor(api: PlotsApi) {
    this.#api = api
  }

  show(jobs: PlotsJob[], metrics: string[]): void {
    this.#jobs = new Map(jobs.map((job) => [job.id, job]))
    if (metrics.join() !== this.#metrics.join()) this.#asked?.abort()
    this.#metrics = metrics
    for (const id of this.#answered.keys()) if (!this.#jobs.has(id)) this.#answered.delete(id)
    this.#soon()
  }

  /** Bands are asked only for jobs that are near the view. */
  near(id: string, isNear: boolean): void {
    if (!isNear) this.#near.delete(id)
    else if (this.#near.add(id)) this.#soon()
  }

  /** The bands of this job are asked as well, wherever its row is. */
  preview(id: string | null): void {
    this.#previewed = id
    if (id) this.#soon()
  }

  configsOf = (job: PlotsJob): MetricConfig[] => this.configs.get(place(job)) ?? []

  setVisible(isVisible: boolean): void {
    this.#isVisible = isVisible
    if (isVisible && this.#isDue) this.#renew()
  }

  async load(): Promise<void> {
    if (this.#asked && !this.#asked.signal.aborted) return // asks for the rest when it has its answer
    const jobs = this.#wanted().slice(0, MAX_JOBS)
    if (!jobs.length) return
    const asked = (this.#asked = new AbortController())
    const purposes = jobs.map((job): [string, string] => [job.id, this.#purpose(job)])
    try {
      const ids = jobs.map(({ id }) => id)
      const [found] = await Promise.all([this.#api.jobsBands(ids, this.#metrics, POINTS, asked.signal), this.#configure(jobs)])
      if (asked.signal.aborted) return
      const kept = [...this.bands].filter(([id]) => this.#jobs.has(id))
      this.bands = new Map([...kept, ...ids.map((id): [string, Band[]] => [id, found.get(id) ?? []])])
      for (const [id, purpose] of purposes) this.#answered.set(id, purpose)
      this.failure = ''
      this.#soon() // others came into view meanwhile
    } catch (e) {
      if (asked.signal.aborted) return
      this.failure = e instanceof Error ? e.message : String(e)
    }
    this.#asked = null
    this.#timer ??= setTimeout(() => {
      this.#renew()
    }, this.#reloadS() * 1000)
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#gather)
    clearTimeout(this.#timer)
    this.#gather = this.#timer = undefined
  }

  #wanted(): PlotsJob[] {
    return this.#metrics.length ? this.#shown().filter((job) => this.#answered.get(job.id) !== this.#purpose(job)) : []
  }

  #shown(): PlotsJob[] {
    const ids = new Set([...(this.#previewed ? [this.#previewed] : []), ...this.#near])
    return [...ids].map((id) => this.#jobs.get(id)).filter((job) => job !== undefined)
  }

  /** Samples come from elsewhere when a job has ended, and when it was archived. */
  #purpose = ({ state, monitoringStatus }: PlotsJob) => [state, monitoringStatus, ...this.#metrics].join()

  #soon(): void {
    this.#gather ??= setTimeout(() => {
      this.#gather = undefined
      void this.load()
    }, GATHER_MS)
  }

  #renew(): void {
    this.#timer = undefined
    this.#isDue = !this.#isVisible
    if (this.#isDue) return
    for (const { id, state } of this.#jobs.values()) if (state === 'running') this.#answered.delete(id)
    this.#soon()
  }

  /** The shortest timestep of what is shown of running jobs. */
  #reloadS(): number {
    const running = this.#shown().filter(({ state }) => state === 'running')
    const shown = running.flatMap((job) => this.configsOf(job)).filter(({ name }) => this.#metrics.includes(name))
    return shown.length ? Math.max(MIN_RELOAD_S, Math.min(...shown.map(({ timestep }) => timestep))) : DEFAULT_RELOAD_S
  }

  /** Plots without limits, if they cannot be had. */
  async #configure(jobs: PlotsJob[]): Promise<void> {
    const missing = new Map(jobs.filter((job) => !this.configs.has(place(job))).map((job) => [place(job), job]))
    if (!missing.size) return
    const found = await Promise.all(
      [...missing].map(([key, job]) =>
        this.#api.metricConfigs(job.cluster, job.subCluster).then(
          (configs): [string, MetricConfig[]] => [key, configs],
          () => null,
        ),
      ),
    )
    this.configs = new Map([...this.configs, ...found.filter((one) => one !== null)])
  }
}

const place = ({ cluster, subCluster }: PlotsJob) => `${cluster} ${subCluster}`
