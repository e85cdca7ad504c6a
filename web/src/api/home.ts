import { only } from './documents.ts'
import { query } from './graphql.ts'
import { withTextIds, type JobRow } from './jobs.ts'
import homeText from './queries/home.graphql?raw'
import jobsText from './queries/jobs.graphql?raw'
import type { HomeQuery, HomeQueryVariables, SickNodeFragment } from './types.ts'

export type HomeVariables = HomeQueryVariables
export type Use = NonNullable<HomeQuery['month']>[number]
export type ProjectUse = NonNullable<HomeQuery['projects']>[number]
export type ClusterUse = NonNullable<HomeQuery['clusters']>[number]
export type SickNode = SickNodeFragment

export interface StateCount {
  state: string
  count: number
}

export interface Jobs {
  rows: JobRow[]
  count: number
}

/** What the first page shows. Parts that were not asked for are null. `nodes`: the states of the nodes of each cluster. */
export interface Home {
  running: Jobs | null
  wrong: Jobs | null
  done: Jobs | null
  month: Use | null
  lastMonth: Use | null
  projects: ProjectUse[] | null
  clusters: ClusterUse[] | null
  nodes: Map<string, StateCount[]>
  sick: SickNode[]
}

const HOME = only(`${homeText}\n${jobsText}`, 'Home')

/** All parts in one request. `clusters`: those whose nodes are counted. */
export async function home(variables: HomeVariables, clusters: string[], signal?: AbortSignal): Promise<Home> {
  const names = Object.fromEntries(clusters.map((name, at) => [`c${String(at)}`, name]))
  const found = await query<HomeQuery & Record<string, unknown>, object>(
    withNodes(HOME, clusters.length),
    { ...variables, ...names },
    signal,
  )
  const states = (at: number) => found[`nodes${String(at)}`] as StateCount[]
  const sick = [...(found.down?.items ?? []), ...(found.unhealthy?.items ?? [])]
  return {
    running: jobsOf(found.running),
    wrong: jobsOf(found.wrong),
    done: jobsOf(found.done),
    month: found.month?.[0] ?? null,
    lastMonth: found.lastMonth?.[0] ?? null,
    projects: found.projects ?? null,
    clusters: found.clusters ?? null,
    nodes: new Map(clusters.map((name, at) => [name, states(at)])),
    sick: [...new Map(sick.map((node) => [`${node.cluster}/${node.hostname}`, node])).values()],
  }
}

const jobsOf = (found: HomeQuery['running']): Jobs | null =>
  found ? { rows: found.items.map(withTextIds), count: found.count ?? 0 } : null

/** The document with a field for the nodes of each cluster, since `nodeStates` counts one cluster at a time. */
function withNodes(text: string, clusters: number): string {
  const places = Array.from({ length: clusters }, (_, at) => String(at))
  const fields = places.map((at) => `nodes${at}: nodeStates(filter: [{cluster: {eq: $c${at}}}]) { state count }`)
  return text.replace(/\) \{/, `${places.map((at) => ` $c${at}: String!`).join('')}) {`).replace(/\) \{/, `) { ${fields.join(' ')}`)
}
