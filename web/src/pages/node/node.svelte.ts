import { ApiError } from '../../api/graphql.ts'
import type { MetricConfig } from '../../api/metrics.ts'
import type { NodeView } from '../../api/node.ts'
import type { MetricSeries } from '../../api/series.ts'
import type { Curve, Span } from '../../charts/curve.ts'
import type { Change } from '../../live/protocol.ts'
import { curvesOf } from '../job/curves.ts'
import { RANGES, type Range } from './loader.ts'
import type { Window } from './timeline.ts'

export interface NodeApi {
  nodeView: (cluster: string, host: string, from: number, to: number, signal?: AbortSignal) => Promise<NodeView>
  nodeSeries: (cluster: string, host: string, from: number, to: number, points: number, signal?: AbortSignal) => Promise<MetricSeries[]>
  metricConfigs: (cluster: string, subCluster: string) => Promise<MetricConfig[]>
}

const POINTS = 300 // about one for two pixels of a plot
const AGAIN_MS = 60_000
const SOON_MS = 2000 // several changes at a time are one request

/** One node over the last hours. It is asked for again every minute while the page can be seen, and after changes of the node or its jobs. */
export class NodeState {
  view = $state.raw<NodeView | null>(null)
  curves = $state.raw<Curve[]>([])
  window = $state.raw<Window>({ from: 0, to: 0 })
  zoom = $state.raw<Span | null>(null)
  failure = $state('')
  curvesFailure = $state('')
  isMissing = $state(false)
  areCurvesLoaded = $state(false)
  readonly #api: NodeApi
  readonly #now: () => number
  #cluster = ''
  #host = ''
  #range: Range = '4h'
  #asked: AbortController | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #dueAt = Infinity

  constructor(api: NodeApi, now: () => number = () => Date.now()) {
    this.#api = api
    this.#now = now
  }

  /** The part of the window that is shown. */
  get shown(): Window {
    const { from, to } = this.window
    return this.zoom ? { from: from + this.zoom.from, to: from + this.zoom.to } : { from, to }
  }

  async show(cluster: string, host: string, range: Range): Promise<void> {
    if (cluster !== this.#cluster || host !== this.#host) {
      this.view = null
      this.curves = []
      this.isMissing = false
      this.areCurvesLoaded = false
    }
    this.#cluster = cluster
    this.#host = host
    this.#range = range
    this.zoom = null
    await this.load()
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    const { signal } = (this.#asked = new AbortController())
    const [cluster, host] = [this.#cluster, this.#host]
    const to = Math.ceil(this.#now() / 1000)
    const from = to - RANGES[this.#range]
    const series = this.#api.nodeSeries(cluster, host, from, to, POINTS, signal).catch((e: unknown) => said(e))
    try {
      const view = await this.#api.nodeView(cluster, host, from, to, signal)
      const configs = await this.#api.metricConfigs(cluster, view.node.subCluster).catch(() => [])
      const found = await series
      if (signal.aborted) return
      this.view = view
      this.window = { from, to }
      this.failure = ''
      this.curvesFailure = typeof found === 'string' ? found : ''
      if (typeof found !== 'string') this.curves = curvesOf(found, configs)
      this.areCurvesLoaded = true
    } catch (e) {
      if (signal.aborted) return
      if (e instanceof ApiError && e.message.includes('no such node')) this.isMissing = true
      else this.failure = said(e)
    }
    this.#again(AGAIN_MS)
  }

  changes(changes: Change[]): void {
    const host = this.#host
    const isOwn = (change: Change) =>
      (change.kind === 'node' && change.node.hostname === host && change.node.cluster === this.#cluster) ||
      (change.kind === 'job' && change.job.cluster === this.#cluster && change.job.resources?.some(({ hostname }) => hostname === host))
    if (changes.some(isOwn)) this.#again(SOON_MS)
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#timer)
  }

  /** The sooner one counts. */
  #again(afterMs: number): void {
    const dueAt = this.#now() + afterMs
    if (afterMs !== AGAIN_MS && this.#dueAt <= dueAt) return
    clearTimeout(this.#timer)
    this.#dueAt = dueAt
    this.#timer = setTimeout(() => {
      this.#dueAt = Infinity
      if (typeof document !== 'undefined' && document.hidden) this.#again(AGAIN_MS)
      else void this.load()
    }, afterMs)
  }
}

const said = (e: unknown) => (e instanceof Error ? e.message : String(e))
