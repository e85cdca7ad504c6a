import type { MetricConfig } from '../../api/metrics.ts'
import type { ClusterPower, ClusterStatus } from '../../api/cluster-status.ts'
import type { Change, NodeEvent } from '../../live/protocol.ts'

export interface StatusApi {
  clusterStatus: (cluster: string, since: number, signal?: AbortSignal) => Promise<ClusterStatus>
  clusterPower: (cluster: string, metrics: string[], from: number, to: number, signal?: AbortSignal) => Promise<ClusterPower>
  clusterMetricConfigs: (cluster: string) => Promise<MetricConfig[]>
}

export const HOURS_S = 4 * 3600
const AGAIN_MS = 60_000
const SOON_MS = 5000 // jobs that start and end together are one request

/** What a cluster does now. Node states follow the stream; all is asked for again after changes of jobs, and every minute. */
export class StatusState {
  status = $state.raw<ClusterStatus | null>(null)
  power = $state.raw<ClusterPower | null>(null)
  metrics = $state.raw<MetricConfig[]>([])
  to = $state(0)
  failure = $state('')
  powerFailure = $state('')
  readonly #api: StatusApi
  #cluster = ''
  #asked: AbortController | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #isSoon = false

  constructor(api: StatusApi) {
    this.#api = api
  }

  async show(cluster: string): Promise<void> {
    if (cluster !== this.#cluster) {
      this.status = null
      this.power = null
    }
    this.#cluster = cluster
    await this.load()
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    clearTimeout(this.#timer)
    this.#isSoon = false
    const { signal } = (this.#asked = new AbortController())
    const to = Math.ceil(Date.now() / 1000)
    const power = this.#loadPower(this.#cluster, to, signal)
    try {
      const status = await this.#api.clusterStatus(this.#cluster, to - HOURS_S, signal)
      if (signal.aborted) return
      this.status = status
      this.to = to
      this.failure = ''
    } catch (e) {
      if (signal.aborted) return
      this.failure = said(e)
    }
    await power
    if (!signal.aborted) this.#again(AGAIN_MS)
  }

  changes(changes: Change[]): void {
    const nodes = new Map<string, NodeEvent>()
    for (const change of changes)
      if (change.kind === 'node' && change.node.cluster === this.#cluster) nodes.set(change.node.hostname, change.node)
    if (nodes.size && this.status) {
      const items = this.status.nodes.items.map((node) => ({ ...node, ...nodes.get(node.hostname) }))
      this.status = { ...this.status, nodes: { items } }
    }
    const isOther = changes.some(
      (change) => change.kind === 'job_deleted' || (change.kind === 'job' && change.job.cluster === this.#cluster),
    )
    if (!this.#isSoon && (nodes.size || isOther)) {
      this.#isSoon = true
      this.#again(SOON_MS)
    }
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#timer)
  }

  /** All metrics in watts. */
  async #loadPower(cluster: string, to: number, signal: AbortSignal): Promise<void> {
    try {
      const all = await this.#api.clusterMetricConfigs(cluster)
      const names = all.filter(({ unit }) => unit.base === 'W').map(({ name }) => name)
      if (signal.aborted) return
      this.metrics = all
      if (!names.length) return
      const power = await this.#api.clusterPower(cluster, names, to - HOURS_S, to, signal)
      if (signal.aborted) return
      this.power = power
      this.powerFailure = ''
    } catch (e) {
      if (!signal.aborted) this.powerFailure = said(e)
    }
  }

  #again(afterMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (typeof document !== 'undefined' && document.hidden) this.#again(AGAIN_MS)
      else void this.load()
    }, afterMs)
  }
}

const said = (e: unknown) => (e instanceof Error ? e.message : String(e))
