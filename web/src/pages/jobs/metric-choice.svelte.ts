import { metrics, type Metric } from '../../api/metrics.ts'
import { storeSetting } from '../../api/session.ts'
import { session } from '../../session.ts'

/** The key of cc-backend; with `:cluster` it holds for lists of that cluster. */
const SETTING = 'metricConfig_jobListMetrics'
const USUAL = ['cpu_load', 'flops_any', 'mem_bw', 'mem_used', 'acc_utilization', 'cpu_power']
const MAX_USUAL = 6
export const MAX_METRICS = 12

/** The metrics of the small plots that the viewer chose, stored as the setting `key`. */
export class MetricChoice {
  known = $state.raw<ReadonlyMap<string, Metric>>(new Map())
  #cluster = $state('')
  #settings = $state.raw<Record<string, unknown>>(session.settings)
  readonly all = $derived([...this.known.values()].filter((metric) => isIn(metric, this.#cluster)))
  readonly #key: string
  readonly shown = $derived.by(() => shownMetrics(this.all, this.#settings[`${this.#key}:${this.#cluster}`] ?? this.#settings[this.#key]))

  constructor(key = SETTING) {
    this.#key = key
  }

  /** The cluster of the list, empty if it shows several. */
  of(cluster: string): void {
    this.#cluster = cluster
  }

  /** Raises ApiError. */
  async load(): Promise<void> {
    this.known = await metrics()
  }

  toggle(name: string): void {
    const names = this.shown.includes(name) ? this.shown.filter((other) => other !== name) : [...this.shown, name]
    const key = this.#cluster ? `${this.#key}:${this.#cluster}` : this.#key
    session.settings[key] = names
    this.#settings = { ...session.settings }
    storeSetting(key, names).catch(() => undefined) // the page has them all the same
  }
}

const isIn = (metric: Metric, cluster: string) => !cluster || metric.availability.some((one) => one.cluster === cluster)

/** `chosen` is a stored list of names, in the order of the columns. Without one: the usual metrics, then others up to six. */
export function shownMetrics(all: Pick<Metric, 'name'>[], chosen: unknown): string[] {
  const names = all.map(({ name }) => name)
  if (Array.isArray(chosen)) {
    const found = (chosen as unknown[]).filter((name) => typeof name === 'string' && names.includes(name)) as string[]
    if (found.length) return found.slice(0, MAX_METRICS)
  }
  return [...USUAL.filter((name) => names.includes(name)), ...names.filter((name) => !USUAL.includes(name))].slice(0, MAX_USUAL)
}
