import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/metrics.graphql?raw'
import type { MetricConfigsQuery, MetricsQuery } from './types.ts'

export type Metric = MetricsQuery['globalMetrics'][number]
type Cluster = MetricConfigsQuery['clusters'][number]
export type MetricConfig = Cluster['subClusters'][number]['metricConfig'][number]

/** Asked once per page load; a failure is not remembered. */
function once<Result>(ask: () => Promise<Result>): () => Promise<Result> {
  let known: Promise<Result> | undefined
  return () =>
    (known ??= ask().catch((e: unknown) => {
      known = undefined
      throw e
    }))
}

/** The metrics that the viewer may see, by name. Raises ApiError. */
export const metrics = once(async () => {
  const { globalMetrics } = await query<MetricsQuery, object>(only(text, 'Metrics'), {})
  return new Map(globalMetrics.map((metric) => [metric.name, metric]))
})

const clusters = once(() => query<MetricConfigsQuery, object>(only(text, 'MetricConfigs'), {}))

type SubCluster = Cluster['subClusters'][number]

async function subClusterOf(cluster: string, subCluster: string): Promise<SubCluster | undefined> {
  const found = (await clusters()).clusters.find(({ name }) => name === cluster)
  return found?.subClusters.find(({ name }) => name === subCluster)
}

/** The metrics of a subcluster in the order of its configuration, empty for one that is not configured. Raises ApiError. */
export const metricConfigs = async (cluster: string, subCluster: string): Promise<MetricConfig[]> =>
  (await subClusterOf(cluster, subCluster))?.metricConfig ?? []

export type Peaks = Pick<SubCluster, 'flopRateScalar' | 'flopRateSimd' | 'memoryBandwidth'>

/** The peak rates of a node of the subcluster, null if it is not configured. Raises ApiError. */
export const peaks = async (cluster: string, subCluster: string): Promise<Peaks | null> => (await subClusterOf(cluster, subCluster)) ?? null

export type ClusterPeaks = Peaks & { name: string }

/** The peak rates of the nodes of each subcluster. Raises ApiError. */
export const clusterPeaks = async (cluster: string): Promise<ClusterPeaks[]> =>
  (await clusters()).clusters.find(({ name }) => name === cluster)?.subClusters ?? []

/** The metrics of all subclusters of a cluster, with the highest of their peaks. Raises ApiError. */
export async function clusterMetricConfigs(cluster: string): Promise<MetricConfig[]> {
  const found = (await clusters()).clusters.find(({ name }) => name === cluster)
  const byName = new Map<string, MetricConfig>()
  for (const config of found?.subClusters.flatMap(({ metricConfig }) => metricConfig) ?? []) {
    const other = byName.get(config.name)
    byName.set(config.name, other ? { ...other, peak: Math.max(other.peak, config.peak) } : config)
  }
  return [...byName.values()]
}
