import type { ListedNode, NodeListVariables } from '../../api/node-list.ts'
import type { RunningJob } from '../../api/nodes.ts'
import type { Change, NodeEvent } from '../../live/protocol.ts'
import { RANGES } from '../node/loader.ts'
import { jobsByHost, withJob } from '../nodes/running.ts'
import { ALL, readNodeList, type NodeListState } from './loader.ts'

export interface NodeListApi {
  nodeList: (variables: NodeListVariables, signal?: AbortSignal) => Promise<{ nodes: ListedNode[]; count: number }>
  runningJobs: (cluster: string, signal?: AbortSignal) => Promise<RunningJob[]>
}

const POINTS = 64
const AGAIN_MS = 60_000
const SOON_MS = 2000 // nodes that change together are one request

/** One page of nodes. States and jobs follow the stream; samples are asked for again every minute while the page can be seen. */
export class NodeList {
  cluster = ''
  /** Of the nodes that are shown. */
  state = $state.raw<NodeListState>(readNodeList(new URL('http://none/'), ''))
  nodes = $state.raw<ListedNode[]>([])
  jobs = $state.raw<RunningJob[]>([])
  count = $state<number | null>(null)
  failure = $state('')
  isLoading = $state(false)
  readonly jobsOf = $derived(jobsByHost(this.jobs))
  readonly #api: NodeListApi
  readonly #now: () => number
  #metrics: string[] = []
  #wanted = this.state
  #asked: AbortController | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #isSoon = false

  constructor(api: NodeListApi, now: () => number = () => Date.now()) {
    this.#api = api
    this.#now = now
  }

  async show(cluster: string, state: NodeListState, metrics: string[]): Promise<void> {
    if (cluster !== this.cluster) {
      this.nodes = []
      this.jobs = []
      this.count = null
      void this.#loadJobs(cluster)
    }
    this.cluster = cluster
    this.#metrics = metrics
    await this.load(state)
  }

  async load(state = this.#wanted): Promise<void> {
    this.#wanted = state
    this.#asked?.abort()
    clearTimeout(this.#timer)
    this.#isSoon = false
    const { signal } = (this.#asked = new AbortController())
    this.isLoading = true
    const to = Math.ceil(this.#now() / 1000)
    const iso = (seconds: number) => new Date(seconds * 1000).toISOString()
    try {
      const found = await this.#api.nodeList(
        {
          cluster: this.cluster,
          subCluster: state.subCluster,
          state: state.state,
          host: state.host,
          metrics: this.#metrics,
          from: iso(to - RANGES[state.last]),
          to: iso(to),
          page: { page: state.page, itemsPerPage: state.rows },
          points: POINTS,
        },
        signal,
      )
      if (signal.aborted) return
      this.state = state
      this.nodes = found.nodes
      this.count = found.count
      this.failure = ''
    } catch (e) {
      if (signal.aborted) return
      this.failure = e instanceof Error ? e.message : String(e)
    }
    this.isLoading = false
    this.#again(AGAIN_MS)
  }

  reset(): void {
    void this.#loadJobs(this.cluster)
    void this.load()
  }

  /** A state that the filter compares may add a node or take it away: the page is asked for again. */
  changes(changes: Change[]): void {
    const nodes = new Map<string, NodeEvent>()
    let jobs = this.jobs
    for (const change of changes) {
      if (change.kind === 'node' && change.node.cluster === this.cluster) nodes.set(change.node.hostname, change.node)
      if (change.kind === 'job' && change.job.cluster === this.cluster) jobs = withJob(jobs, change.job)
      if (change.kind === 'job_deleted') jobs = jobs.filter(({ id }) => id !== change.id)
    }
    if (jobs !== this.jobs) this.jobs = jobs
    if (!nodes.size) return
    this.nodes = this.nodes.map((node) => {
      const event = nodes.get(node.host)
      return event ? { ...node, nodeState: event.schedulerState, metricHealth: event.healthState } : node
    })
    if (this.#wanted.state !== ALL && !this.#isSoon) {
      this.#isSoon = true
      this.#again(SOON_MS)
    }
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#timer)
  }

  async #loadJobs(cluster: string): Promise<void> {
    const jobs = await this.#api.runningJobs(cluster).catch(() => null) // a list without jobs, then
    if (jobs && cluster === this.cluster) this.jobs = jobs
  }

  #again(afterMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (typeof document !== 'undefined' && document.hidden) this.#again(AGAIN_MS)
      else void this.load()
    }, afterMs)
  }
}
