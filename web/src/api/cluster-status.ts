import { only } from './documents.ts'
import { query } from './graphql.ts'
import nodesText from './queries/nodes.graphql?raw'
import text from './queries/status.graphql?raw'
import type { ClusterPowerQuery, ClusterPowerQueryVariables, ClusterStatusQuery, ClusterStatusQueryVariables } from './types.ts'

export type ClusterStatus = ClusterStatusQuery
export type ClusterPower = ClusterPowerQuery
export type StatesOverTime = ClusterStatusQuery['states'][number]
export type Top = ClusterStatusQuery['users'][number]

const STATUS = only(`${text}\n${nodesText}`, 'ClusterStatus')
const POWER = only(text, 'ClusterPower')

/** What a cluster does now, and the states of its nodes since a Unix time. Raises ApiError. */
export async function clusterStatus(cluster: string, since: number, signal?: AbortSignal): Promise<ClusterStatus> {
  const running = [{ cluster: { eq: cluster }, state: ['running'] }]
  return query<ClusterStatusQuery, ClusterStatusQueryVariables>(STATUS, { cluster, running, since }, signal)
}

/** The sums of metrics over the cluster in a window of Unix seconds, and their newest values by node. Raises ApiError. */
export async function clusterPower(
  cluster: string,
  metrics: string[],
  from: number,
  to: number,
  signal?: AbortSignal,
): Promise<ClusterPower> {
  const [begin, end] = [from, to].map((seconds) => new Date(seconds * 1000).toISOString())
  const variables = { cluster, metrics, from: begin ?? '', to: end ?? '' }
  return query<ClusterPowerQuery, ClusterPowerQueryVariables>(POWER, variables, signal)
}
