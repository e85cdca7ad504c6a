import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/nodelist.graphql?raw'
import type { NodeListQuery, NodeListQueryVariables } from './types.ts'

export type ListedNode = NonNullable<NodeListQuery['nodeMetricsList']>['items'][number]
export type NodeListVariables = NodeListQueryVariables

const LIST = only(text, 'NodeList')

/** One page of nodes with their metrics over a window, and the number of all that match. Raises ApiError. */
export async function nodeList(variables: NodeListVariables, signal?: AbortSignal): Promise<{ nodes: ListedNode[]; count: number }> {
  const { nodeMetricsList: found } = await query<NodeListQuery, NodeListVariables>(LIST, variables, signal)
  return { nodes: found?.items ?? [], count: found?.totalNodes ?? 0 }
}
