import type { ComparedJob, MedianSeries, Statistics } from '../../api/compare.ts'
import type { MetricConfig } from '../../api/metrics.ts'
import { MAX_CURVES } from './loader.ts'
import { POINTS } from './overlay.ts'

export interface CompareApi {
  comparedJobs: (ids: string[], signal: AbortSignal) => Promise<ComparedJob[]>
  comparedStatistics: (ids: string[], signal: AbortSignal) => Promise<Map<string, Statistics>>
  medians: (ids: string[], points: number, signal: AbortSignal) => Promise<Map<string, MedianSeries[]>>
  metricConfigs: (cluster: string, subCluster: string) => Promise<MetricConfig[]>
}

const drawn = (ids: string[]) => ids.slice(0, MAX_CURVES)

/** The jobs of a comparison in the order of the address. What is shown stays until its successor is there. */
export class Comparing {
  jobs = $state.raw<ComparedJob[]>([])
  statistics = $state.raw<ReadonlyMap<string, Statistics>>(new Map())
  medians = $state.raw<ReadonlyMap<string, MedianSeries[]>>(new Map())
  /** The metrics of the baseline's subcluster. */
  configs = $state.raw<MetricConfig[]>([])
  missing = $state(0)
  failure = $state('')
  isLoading = $state(false)
  isLoaded = $state(false)
  readonly #api: CompareApi
  #ids: string[] = []
  #drawn: string[] = [] // the jobs whose medians were asked
  #asked: AbortController | null = null

  constructor(api: CompareApi) {
    this.#api = api
  }

  /** Another order of the same jobs asks nothing. */
  async show(ids: string[]): Promise<void> {
    const isKnown = ids.every((id) => this.jobs.some((job) => job.id === id)) && drawn(ids).every((id) => this.#drawn.includes(id))
    this.#ids = ids
    if (!this.isLoaded || !isKnown) return this.load()
    this.missing = 0
    this.failure = ''
    this.#asked?.abort()
    this.isLoading = false
    const before = this.jobs[0]
    this.jobs = this.#inOrder(this.jobs)
    if (before !== this.jobs[0]) await this.#readConfigs()
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    const asked = (this.#asked = new AbortController())
    const ids = this.#ids
    this.isLoading = true
    try {
      const [jobs, statistics, medians] = ids.length
        ? await Promise.all([
            this.#api.comparedJobs(ids, asked.signal),
            this.#api.comparedStatistics(ids, asked.signal),
            this.#api.medians(drawn(ids), POINTS, asked.signal),
          ])
        : [[], new Map<string, Statistics>(), new Map<string, MedianSeries[]>()]
      if (asked.signal.aborted) return
      this.jobs = this.#inOrder(jobs)
      this.statistics = statistics
      this.medians = medians
      this.#drawn = drawn(ids)
      this.missing = ids.length - jobs.length
      this.failure = ''
      this.isLoaded = true
      await this.#readConfigs()
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      if (asked === this.#asked) this.isLoading = false
    }
  }

  close(): void {
    this.#asked?.abort()
  }

  #inOrder(jobs: ComparedJob[]): ComparedJob[] {
    return this.#ids.flatMap((id) => jobs.find((job) => job.id === id) ?? [])
  }

  /** Without them metrics have neither an order nor a good direction. */
  async #readConfigs(): Promise<void> {
    const baseline = this.jobs[0]
    this.configs = baseline ? await this.#api.metricConfigs(baseline.cluster, baseline.subCluster).catch(() => []) : []
  }
}
