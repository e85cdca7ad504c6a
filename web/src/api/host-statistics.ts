import { only } from './documents.ts'
import { query } from './graphql.ts'
import { metricConfigs, metrics } from './metrics.ts'
import text from './queries/job.graphql?raw'
import type { HostStatisticsQuery, HostStatisticsQueryVariables } from './types.ts'

export type MetricOfHosts = HostStatisticsQuery['scopedJobStats'][number]

/** Of each node of a job, or of each of their parts at a finer scope; metrics that have no values there are absent. Raises ApiError. */
export async function hostStatistics(
  { id, cluster, subCluster }: { id: string; cluster: string; subCluster: string },
  scope: string,
  signal?: AbortSignal,
): Promise<MetricOfHosts[]> {
  const [known, configs] = await Promise.all([metrics(), metricConfigs(cluster, subCluster).catch(() => [])])
  const own = configs.map(({ name }) => name).filter((name) => known.has(name))
  const variables = { id, metrics: own.length ? own : [...known.keys()], scopes: [scope as HostStatisticsScope] }
  const answer = await query<HostStatisticsQuery, HostStatisticsQueryVariables>(only(text, 'HostStatistics'), variables, signal)
  return answer.scopedJobStats.filter((one) => one.scope === scope && one.stats.length > 0)
}

type HostStatisticsScope = MetricOfHosts['scope']
