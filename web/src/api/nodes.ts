import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/nodes.graphql?raw'
import type {
  NodeRowFragment,
  NodesOfClusterQuery,
  NodesOfClusterQueryVariables,
  NodeStatesOfSiteQuery,
  NodeValuesQuery,
  NodeValuesQueryVariables,
  RunningJobsQuery,
  RunningJobsQueryVariables,
} from './types.ts'

export type NodeRow = NodeRowFragment
export type NodeState = NodeStatesOfSiteQuery['nodes']['items'][number]

/** A running job and the nodes it has. */
export interface RunningJob {
  id: string
  jobId: number
  jobName: string | null
  user: string
  startTime: string
  hosts: string[]
}

const STATES = only(text, 'NodeStatesOfSite')
const OF_CLUSTER = only(text, 'NodesOfCluster')
const VALUES = only(text, 'NodeValues')
const RUNNING = only(text, 'RunningJobs')
const MAX_RUNNING = 2000 // the largest ones

/** The states of all nodes of all clusters. Raises ApiError. */
export async function nodeStates(signal?: AbortSignal): Promise<NodeState[]> {
  return (await query<NodeStatesOfSiteQuery, object>(STATES, {}, signal)).nodes.items
}

/** By host name. Raises ApiError. */
export async function nodesOfCluster(cluster: string, signal?: AbortSignal): Promise<NodeRow[]> {
  const { nodes } = await query<NodesOfClusterQuery, NodesOfClusterQueryVariables>(OF_CLUSTER, { cluster }, signal)
  return nodes.items.map((node) => ({ ...node, id: String(node.id) }))
}

/** The newest value of a metric by host; hosts without a recent one are absent. Raises ApiError. */
export async function nodeValues(cluster: string, metric: string, signal?: AbortSignal): Promise<Map<string, number>> {
  const { nodesNow } = await query<NodeValuesQuery, NodeValuesQueryVariables>(VALUES, { cluster, metric }, signal)
  return new Map(nodesNow.flatMap(({ host, metrics }) => metrics.map(({ value }) => [host, value] as const)))
}

/** The jobs of a cluster that run, those with the most nodes first. Raises ApiError. */
export async function runningJobs(cluster: string, signal?: AbortSignal): Promise<RunningJob[]> {
  const { jobs } = await query<RunningJobsQuery, RunningJobsQueryVariables>(RUNNING, { cluster, limit: MAX_RUNNING }, signal)
  return jobs.items.map(({ resources, ...job }) => ({ ...job, id: String(job.id), hosts: resources.map(({ hostname }) => hostname) }))
}
