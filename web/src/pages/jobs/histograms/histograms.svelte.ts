import type { JobHistograms } from '../../../api/histograms.ts'
import type { JobFilter } from '../../../api/jobs.ts'
import type { Metric } from '../../../api/metrics.ts'
import { asQuery } from '../filters-as-query.ts'
import type { Filters } from '../filters.ts'
import { durations, footprints, sizes, type Histogram } from './bins.ts'

export interface HistogramsApi {
  jobHistograms: (filter: JobFilter[], metrics: string[], bins: number, signal?: AbortSignal) => Promise<JobHistograms>
  metrics: () => Promise<ReadonlyMap<string, Metric>>
  storeSetting: (key: string, value: unknown) => Promise<void>
}

/** The key of cc-backend; with `:cluster` it holds for lists of that cluster. */
const SETTING = 'userView_histogramMetrics'
const USUAL = ['cpu_load', 'flops_any', 'mem_bw', 'mem_used', 'acc_utilization']
const MAX_USUAL = 4
const BINS = 20

/** Histograms over the jobs of a list, of the time when they were asked. */
export class Histograms {
  shown = $state.raw<Histogram[]>([])
  known = $state.raw<ReadonlyMap<string, Metric>>(new Map())
  metrics = $state.raw<readonly string[]>([])
  failure = $state('')
  isLoading = $state(false)
  readonly #api: HistogramsApi
  readonly #settings: Record<string, unknown>
  #filters: Filters = {}
  #asked: AbortController | null = null

  constructor(api: HistogramsApi, settings: Record<string, unknown>) {
    this.#api = api
    this.#settings = settings
  }

  /** The metrics that have a footprint, in the cluster of the list if it has one. */
  get possible(): Metric[] {
    const { cluster } = this.#filters
    return [...this.known.values()].filter(
      ({ footprint, availability }) => footprint && (!cluster || availability.some((one) => one.cluster === cluster)),
    )
  }

  async show(filters: Filters): Promise<void> {
    this.#filters = filters
    await this.load()
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    const asked = (this.#asked = new AbortController())
    const filters = this.#filters
    this.isLoading = true
    try {
      this.known = await this.#api.metrics()
      this.metrics = this.#chosen()
      const answer = await this.#api.jobHistograms(asQuery(filters), [...this.metrics], BINS, asked.signal)
      if (asked.signal.aborted) return
      const others = answer.others[0]
      const accelerators = sizes('numAccelerators', others?.histNumAccs ?? [])
      this.shown = [
        durations(answer),
        sizes('numNodes', others?.histNumNodes ?? []),
        ...(accelerators.bins.length > 1 ? [accelerators] : []),
        ...footprints(answer, this.known, filters),
      ]
      this.failure = ''
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      if (asked === this.#asked) this.isLoading = false
    }
  }

  async toggle(name: string): Promise<void> {
    const names = this.metrics.includes(name) ? this.metrics.filter((other) => other !== name) : [...this.metrics, name]
    const key = this.#filters.cluster ? `${SETTING}:${this.#filters.cluster}` : SETTING
    this.#settings[key] = names
    this.#api.storeSetting(key, names).catch(() => undefined) // the page has them all the same
    await this.load()
  }

  close(): void {
    this.#asked?.abort()
  }

  #chosen(): string[] {
    const possible = this.possible.map(({ name }) => name)
    const stored = this.#settings[`${SETTING}:${this.#filters.cluster ?? ''}`] ?? this.#settings[SETTING]
    if (Array.isArray(stored)) return possible.filter((name) => (stored as unknown[]).includes(name))
    return [...USUAL.filter((name) => possible.includes(name)), ...possible.filter((name) => !USUAL.includes(name))].slice(0, MAX_USUAL)
  }
}
