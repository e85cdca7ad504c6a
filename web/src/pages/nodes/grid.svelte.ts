import type { MetricConfig } from '../../api/metrics.ts'
import type { NodeRow, RunningJob } from '../../api/nodes.ts'
import type { Change, NodeEvent } from '../../live/protocol.ts'
import { healthLook, scaleOf, stateLook, valueLook, type Look, type Scale } from './look.ts'
import { jobsByHost, withJob } from './running.ts'

export interface GridApi {
  nodesOfCluster: (cluster: string, signal?: AbortSignal) => Promise<NodeRow[]>
  nodeValues: (cluster: string, metric: string, signal?: AbortSignal) => Promise<Map<string, number>>
  runningJobs: (cluster: string, signal?: AbortSignal) => Promise<RunningJob[]>
  clusterMetricConfigs: (cluster: string) => Promise<MetricConfig[]>
}

const MIN_RELOAD_S = 10

/** The nodes of a cluster, its running jobs, and the newest values of one metric. States and jobs follow the stream, values are asked for. */
export class NodeGrid {
  cluster = $state('')
  nodes = $state.raw<NodeRow[]>([])
  jobs = $state.raw<RunningJob[]>([])
  metrics = $state.raw<MetricConfig[]>([])
  values = $state.raw<ReadonlyMap<string, number>>(new Map())
  by = $state('state')
  failure = $state('')
  valuesFailure = $state('')
  isLoaded = $state(false)
  readonly #api: GridApi
  #asked: AbortController | null = null
  #valuesOf = ''
  #timer: ReturnType<typeof setTimeout> | undefined

  readonly metric = $derived(this.metrics.find(({ name }) => name === this.by))
  readonly scale: Scale = $derived(scaleOf(this.values.values(), this.metric?.peak ?? 0, this.metric?.unit ?? { base: '', prefix: null }))
  readonly jobsOf = $derived(jobsByHost(this.jobs))

  constructor(api: GridApi) {
    this.#api = api
  }

  async show(cluster: string, by: string): Promise<void> {
    const isOther = cluster !== this.cluster
    if (isOther) {
      this.nodes = []
      this.jobs = []
      this.metrics = []
      this.isLoaded = false
    }
    this.cluster = cluster
    this.by = by
    if (isOther) await this.load()
    else await this.#loadValues()
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    const { signal } = (this.#asked = new AbortController())
    const cluster = this.cluster
    const rest = Promise.allSettled([this.#loadJobs(cluster, signal), this.#loadMetrics(cluster), this.#loadValues()])
    try {
      const nodes = await this.#api.nodesOfCluster(cluster, signal)
      if (signal.aborted) return
      this.nodes = nodes
      this.failure = ''
      this.isLoaded = true
    } catch (e) {
      if (!signal.aborted) this.failure = said(e)
    }
    await rest
  }

  changes(changes: Change[]): void {
    const nodes = new Map<string, NodeEvent>()
    let jobs = this.jobs
    for (const change of changes) {
      if (change.kind === 'node' && change.node.cluster === this.cluster) nodes.set(change.node.hostname, change.node)
      if (change.kind === 'job' && change.job.cluster === this.cluster) jobs = withJob(jobs, change.job)
      if (change.kind === 'job_deleted') jobs = jobs.filter(({ id }) => id !== change.id)
    }
    if (jobs !== this.jobs) this.jobs = jobs
    if (nodes.size) this.#patch(nodes)
  }

  look(node: NodeRow): Look {
    if (this.by === 'state') return stateLook(node.schedulerState)
    if (this.by === 'health') return healthLook(node.healthState)
    return valueLook(this.values.get(node.hostname), this.scale)
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#timer)
  }

  /** A node that is not in the grid was reported for the first time: load all. */
  #patch(changed: Map<string, NodeEvent>): void {
    let known = 0
    this.nodes = this.nodes.map((node) => {
      const event = changed.get(node.hostname)
      if (!event) return node
      known += 1
      return { ...node, ...event }
    })
    if (this.isLoaded && known < changed.size) void this.load()
  }

  async #loadJobs(cluster: string, signal: AbortSignal): Promise<void> {
    const jobs = await this.#api.runningJobs(cluster, signal)
    if (!signal.aborted) this.jobs = jobs
  }

  async #loadMetrics(cluster: string): Promise<void> {
    const metrics = await this.#api.clusterMetricConfigs(cluster)
    if (cluster === this.cluster) this.metrics = metrics
  }

  /** Again after each timestep of the metric, while the page can be seen. */
  async #loadValues(): Promise<void> {
    clearTimeout(this.#timer)
    const { cluster, by } = this
    const key = `${cluster} ${by}`
    if (this.#valuesOf !== key) {
      this.values = new Map()
      this.valuesFailure = ''
    }
    this.#valuesOf = key
    if (by === 'state' || by === 'health') return
    try {
      const values = await this.#api.nodeValues(cluster, by)
      if (this.#valuesOf !== key) return
      this.values = values
      this.valuesFailure = ''
    } catch (e) {
      if (this.#valuesOf === key) this.valuesFailure = said(e)
    }
    if (this.#valuesOf === key) this.#timer = setTimeout(() => this.#again(), Math.max(MIN_RELOAD_S, this.metric?.timestep ?? 60) * 1000)
  }

  #again(): void {
    if (typeof document === 'undefined' || !document.hidden) void this.#loadValues()
    else this.#timer = setTimeout(() => this.#again(), MIN_RELOAD_S * 1000)
  }
}

const said = (e: unknown) => (e instanceof Error ? e.message : String(e))
