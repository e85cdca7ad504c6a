import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/node.graphql?raw'
import type { MetricSeries } from './series.ts'
import type { NodeSeriesQuery, NodeSeriesQueryVariables, NodeViewQuery, NodeViewQueryVariables } from './types.ts'

export type NodeHistory = NodeViewQuery['nodeHistory']
export type NodeDetails = NodeHistory['node']
export type NodeJob = NodeViewQuery['jobs']['items'][number]

export interface NodeView extends NodeHistory {
  jobs: NodeJob[]
  /** All that ran in the window; `jobs` are the latest 200 of them. */
  jobCount: number
}

const VIEW = only(text, 'NodeView')
const SERIES = only(text, 'NodeSeries')

const iso = (seconds: number) => new Date(seconds * 1000).toISOString()

/** A node with its history and its jobs in a window of Unix seconds. Raises ApiError, 404 for an unknown node. */
export async function nodeView(cluster: string, host: string, from: number, to: number, signal?: AbortSignal): Promise<NodeView> {
  const window = { from: iso(from), to: iso(to) }
  const filter = [{ cluster: { eq: cluster }, node: { eq: host }, overlaps: window }]
  const found = await query<NodeViewQuery, NodeViewQueryVariables>(VIEW, { cluster, host, ...window, filter }, signal)
  const jobs = found.jobs.items.map((job) => ({ ...job, id: String(job.id) }))
  return { ...found.nodeHistory, jobs, jobCount: found.jobs.count ?? jobs.length }
}

/** The metrics of a node with at most `points` values each. Raises ApiError. */
export async function nodeSeries(
  cluster: string,
  host: string,
  from: number,
  to: number,
  points: number,
  signal?: AbortSignal,
): Promise<MetricSeries[]> {
  const variables = { cluster, host, from: iso(from), to: iso(to), points }
  const { nodeMetrics } = await query<NodeSeriesQuery, NodeSeriesQueryVariables>(SERIES, variables, signal)
  return (nodeMetrics[0]?.metrics ?? []).map((one) => ({ ...one, metric: { ...one.metric, statisticsSeries: null } }))
}
