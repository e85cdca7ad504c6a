/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
export type Aggregate =
  | 'CLUSTER'
  | 'PARTITION'
  | 'PROJECT'
  | 'STATE'
  | 'SUBCLUSTER'
  | 'USER';

export type AxisScale =
  | 'LINEAR'
  /** Bins of equal ratios; `from` must be above 0. */
  | 'LOG';

/**
 * An axis of jobsDistribution. `quantity` is a footprint key such as mem_bw_avg, or duration (seconds), numNodes, numHWThreads, numAcc or
 * energy (kWh); with `per`, a second one, the axis has the quotient of both, for jobs that have both above 0. Without `to` the axis ends
 * at the largest value.
 */
export type DistributionAxis = {
  bins?: number;
  from?: number;
  per?: string | null | undefined;
  quantity: string;
  scale?: AxisScale;
  to?: number | null | undefined;
};

export type FloatRange = {
  from: number;
  to: number;
};

export type IntRange = {
  from: number;
  to: number;
};

/** A job must meet all conditions. 0 leaves an end of a range open. An empty `tags`, `dbId` or `state` matches no job. */
export type JobFilter = {
  arrayJobId?: number | null | undefined;
  cluster?: StringInput | null | undefined;
  dbId?: Array<string | number> | null | undefined;
  duration?: IntRange | null | undefined;
  energy?: FloatRange | null | undefined;
  jobId?: StringInput | null | undefined;
  jobName?: StringInput | null | undefined;
  metricStats?: Array<MetricStatItem> | null | undefined;
  node?: StringInput | null | undefined;
  numAccelerators?: IntRange | null | undefined;
  numHWThreads?: IntRange | null | undefined;
  numNodes?: IntRange | null | undefined;
  /** Jobs that ran at some time after `from` and before `to`. A running job ends now. */
  overlaps?: TimeRange | null | undefined;
  partition?: StringInput | null | undefined;
  project?: StringInput | null | undefined;
  schedule?: string | null | undefined;
  shared?: string | null | undefined;
  startTime?: TimeRange | null | undefined;
  state?: Array<string> | null | undefined;
  /** A running job has no stop time, and does not match. */
  stopTime?: TimeRange | null | undefined;
  subCluster?: StringInput | null | undefined;
  tagged?: TagMatch | null | undefined;
  tags?: Array<string | number> | null | undefined;
  user?: StringInput | null | undefined;
};

/** `metricName` is a footprint key, such as mem_used_max. */
export type MetricStatItem = {
  metricName: string;
  range: FloatRange;
};

export type NodeFilter = {
  cluster?: StringInput | null | undefined;
  healthState?: string | null | undefined;
  hostname?: StringInput | null | undefined;
  schedulerState?: string | null | undefined;
  subCluster?: StringInput | null | undefined;
  timeStart?: number | null | undefined;
};

/** `type` is `col` for a column; any other value orders by a footprint key. */
export type OrderByInput = {
  field: string;
  order?: SortDirectionEnum;
  type: string;
};

/** `itemsPerPage` -1 selects everything. `page` counts from 1. */
export type PageRequest = {
  itemsPerPage: number;
  page: number;
};

export type SortByAggregate =
  | 'FAILEDJOBS'
  | 'RUNNINGJOBS'
  | 'SHORTJOBS'
  | 'TOTALACCHOURS'
  | 'TOTALACCS'
  | 'TOTALCOREHOURS'
  | 'TOTALCORES'
  | 'TOTALENERGY'
  | 'TOTALFAILEDCOREHOURS'
  | 'TOTALIDLEACCHOURS'
  | 'TOTALIDLECOREHOURS'
  | 'TOTALJOBS'
  | 'TOTALMEASUREDACCHOURS'
  | 'TOTALMEASUREDCOREHOURS'
  | 'TOTALNODEHOURS'
  | 'TOTALNODES'
  | 'TOTALPROJECTS'
  | 'TOTALUSERS'
  | 'TOTALWAITTIME'
  | 'TOTALWALLTIME'
  | 'WAITEDJOBS';

export type SortDirectionEnum =
  | 'ASC'
  | 'DESC';

/** Only one operator is used: the first given, in the order eq, neq, startsWith, endsWith, contains, in. */
export type StringInput = {
  contains?: string | null | undefined;
  endsWith?: string | null | undefined;
  eq?: string | null | undefined;
  in?: Array<string> | null | undefined;
  neq?: string | null | undefined;
  startsWith?: string | null | undefined;
};

/** A job must have one of `any`, each of `all` and none of `none`. Tags that the user may not read count as absent. */
export type TagMatch = {
  all?: Array<string | number> | null | undefined;
  any?: Array<string | number> | null | undefined;
  none?: Array<string | number> | null | undefined;
};

export type TimeBin =
  | 'DAY'
  | 'HOUR'
  | 'MONTH';

/** `range` is last6h, last24h, last7d or last30d. It is ignored if `from` or `to` is given. */
export type TimeRange = {
  from?: string | null | undefined;
  range?: string | null | undefined;
  to?: string | null | undefined;
};

export type DistributionQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
  x: DistributionAxis;
  y?: DistributionAxis | null | undefined;
}>;


export type DistributionQuery = { jobsDistribution: { x: Array<number>, y: Array<number>, outside: number, cells: Array<{ x: number, y: number, jobs: number, nodeHours: number, coreHours: number, accHours: number }> } };

export type RooflineSamplesQueryVariables = Exact<{
  filter: Array<JobFilter> | JobFilter;
  rows: number;
  cols: number;
  minX: number;
  minY: number;
  maxX: number;
  maxY: number;
}>;


export type RooflineSamplesQuery = { rooflineHeatmap: Array<Array<number>> };

export type JobsBandsQueryVariables = Exact<{
  ids: Array<string | number> | string | number;
  metrics?: Array<string> | string | null | undefined;
  points?: number | null | undefined;
}>;


export type JobsBandsQuery = { jobsMetrics: Array<{ id: string, metrics: Array<{ name: string, scope: string, timestep: number, min: Array<number | null>, median: Array<number | null>, max: Array<number | null>, unit: { base: string, prefix: string | null } }> }> };

export type CompareJobsQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
  page?: PageRequest | null | undefined;
}>;


export type CompareJobsQuery = { jobs: { items: Array<{ SMT: number, metaData: unknown, id: string, jobId: number, jobName: string | null, user: string, project: string, cluster: string, subCluster: string, partition: string, state: string, submitTime: string | null, startTime: string, duration: number, walltime: number, requestedMemory: number, numNodes: number, numHWThreads: number, numAcc: number, energy: number, shared: string, arrayJobId: number, monitoringStatus: number, tags: Array<{ id: string, type: string, name: string, scope: string }>, footprint: Array<{ name: string, stat: string, value: number } | null> | null, advice: Array<{ rule: string, severity: string, text: string }> }> } };

export type CompareStatisticsQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
  metrics?: Array<string> | string | null | undefined;
}>;


export type CompareStatisticsQuery = { jobsMetricStats: Array<{ id: number, stats: Array<{ name: string, hasData: boolean, data: { avg: number, min: number, max: number } }> }> };

export type CompareBandsQueryVariables = Exact<{
  ids: Array<string | number> | string | number;
  points?: number | null | undefined;
}>;


export type CompareBandsQuery = { jobsMetrics: Array<{ id: string, metrics: Array<{ name: string, timestep: number, median: Array<number | null>, unit: { base: string, prefix: string | null } }> }> };

export type JobsWithNumberQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
}>;


export type JobsWithNumberQuery = { jobs: { items: Array<{ id: string, jobId: number, jobName: string | null, user: string, cluster: string, startTime: string }> } };

export type JobHistogramsQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
  metrics?: Array<string> | string | null | undefined;
  bins?: number | null | undefined;
}>;


export type JobHistogramsQuery = { minute: Array<{ histDuration: Array<{ value: number, count: number }> }>, tenMinutes: Array<{ histDuration: Array<{ value: number, count: number }> }>, hour: Array<{ histDuration: Array<{ value: number, count: number }> }>, halfDay: Array<{ histDuration: Array<{ value: number, count: number }> }>, day: Array<{ histDuration: Array<{ value: number, count: number }> }>, others: Array<{ totalJobs: number, histNumNodes: Array<{ value: number, count: number }>, histNumAccs: Array<{ value: number, count: number }>, histMetrics: Array<{ metric: string, stat: string | null, unit: string, data: Array<{ count: number, from: number, to: number }> | null }> }> };

export type DurationsFragment = { histDuration: Array<{ value: number, count: number }> };

export type HomeQueryVariables = Exact<{
  mine: boolean;
  managed: boolean;
  site: boolean;
  nodes: boolean;
  running?: Array<JobFilter> | JobFilter | null | undefined;
  wrong?: Array<JobFilter> | JobFilter | null | undefined;
  done?: Array<JobFilter> | JobFilter | null | undefined;
  month?: Array<JobFilter> | JobFilter | null | undefined;
  lastMonth?: Array<JobFilter> | JobFilter | null | undefined;
  projects?: Array<JobFilter> | JobFilter | null | undefined;
  everywhere?: Array<JobFilter> | JobFilter | null | undefined;
  page?: PageRequest | null | undefined;
  newest?: OrderByInput | null | undefined;
}>;


export type HomeQuery = { running?: { count: number | null, items: Array<{ id: string, jobId: number, jobName: string | null, user: string, project: string, cluster: string, subCluster: string, partition: string, state: string, submitTime: string | null, startTime: string, duration: number, walltime: number, requestedMemory: number, numNodes: number, numHWThreads: number, numAcc: number, energy: number, shared: string, arrayJobId: number, monitoringStatus: number, tags: Array<{ id: string, type: string, name: string, scope: string }>, footprint: Array<{ name: string, stat: string, value: number } | null> | null, advice: Array<{ rule: string, severity: string, text: string }> }> }, wrong?: { count: number | null, items: Array<{ id: string, jobId: number, jobName: string | null, user: string, project: string, cluster: string, subCluster: string, partition: string, state: string, submitTime: string | null, startTime: string, duration: number, walltime: number, requestedMemory: number, numNodes: number, numHWThreads: number, numAcc: number, energy: number, shared: string, arrayJobId: number, monitoringStatus: number, tags: Array<{ id: string, type: string, name: string, scope: string }>, footprint: Array<{ name: string, stat: string, value: number } | null> | null, advice: Array<{ rule: string, severity: string, text: string }> }> }, done?: { count: number | null, items: Array<{ id: string, jobId: number, jobName: string | null, user: string, project: string, cluster: string, subCluster: string, partition: string, state: string, submitTime: string | null, startTime: string, duration: number, walltime: number, requestedMemory: number, numNodes: number, numHWThreads: number, numAcc: number, energy: number, shared: string, arrayJobId: number, monitoringStatus: number, tags: Array<{ id: string, type: string, name: string, scope: string }>, footprint: Array<{ name: string, stat: string, value: number } | null> | null, advice: Array<{ rule: string, severity: string, text: string }> }> }, month?: Array<{ totalJobs: number, failedJobs: number, totalWalltime: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number }>, lastMonth?: Array<{ totalJobs: number, failedJobs: number, totalWalltime: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number }>, projects?: Array<{ id: string, runningJobs: number, totalUsers: number, totalJobs: number, failedJobs: number, totalWalltime: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number }>, clusters?: Array<{ id: string, totalJobs: number, totalUsers: number, totalNodes: number, totalCores: number, totalAccs: number }>, down?: { items: Array<{ hostname: string, cluster: string, subCluster: string, schedulerState: string, healthState: string }> }, unhealthy?: { items: Array<{ hostname: string, cluster: string, subCluster: string, schedulerState: string, healthState: string }> } };

export type UseFragment = { totalJobs: number, failedJobs: number, totalWalltime: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number };

export type SickNodeFragment = { hostname: string, cluster: string, subCluster: string, schedulerState: string, healthState: string };

export type JobViewQueryVariables = Exact<{
  id: string | number;
}>;


export type JobViewQuery = { job: { SMT: number, metaData: unknown, id: string, jobId: number, jobName: string | null, user: string, project: string, cluster: string, subCluster: string, partition: string, state: string, submitTime: string | null, startTime: string, duration: number, walltime: number, requestedMemory: number, numNodes: number, numHWThreads: number, numAcc: number, energy: number, shared: string, arrayJobId: number, monitoringStatus: number, userData: { name: string, email: string } | null, resources: Array<{ hostname: string, hwthreads: Array<number> | null, accelerators: Array<string> | null }>, energyFootprint: Array<{ hardware: string, metric: string, value: number } | null> | null, advice: Array<{ rule: string, severity: string, text: string, action: string, metric: string | null, since: string | null }>, concurrentJobs: { count: number | null, listQuery: string | null, items: Array<{ id: string, jobId: number }> } | null, tags: Array<{ id: string, type: string, name: string, scope: string }>, footprint: Array<{ name: string, stat: string, value: number } | null> | null } | null };

export type JobStatisticsQueryVariables = Exact<{
  id: string | number;
  metrics?: Array<string> | string | null | undefined;
}>;


export type JobStatisticsQuery = { jobStats: Array<{ name: string, hasData: boolean, data: { avg: number, min: number, max: number } }> };

export type JobNodeEventsQueryVariables = Exact<{
  id: string | number;
}>;


export type JobNodeEventsQuery = { jobNodeEvents: Array<{ time: number, hostname: string, schedulerState: string, states: Array<string> }> };

export type JobOfClusterQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
}>;


export type JobOfClusterQuery = { jobs: { items: Array<{ id: string }> } };

export type JobScopesQueryVariables = Exact<{
  id: string | number;
}>;


export type JobScopesQuery = { scopedJobStats: Array<{ name: string, scope: string }> };

export type HostStatisticsQueryVariables = Exact<{
  id: string | number;
  metrics?: Array<string> | string | null | undefined;
  scopes?: Array<string> | string | null | undefined;
}>;


export type HostStatisticsQuery = { scopedJobStats: Array<{ name: string, scope: string, stats: Array<{ hostname: string, id: string | null, data: { avg: number, min: number, max: number } }> }> };

export type JobListQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
  page?: PageRequest | null | undefined;
  order?: OrderByInput | null | undefined;
}>;


export type JobListQuery = { jobs: { count: number | null, items: Array<{ id: string, jobId: number, jobName: string | null, user: string, project: string, cluster: string, subCluster: string, partition: string, state: string, submitTime: string | null, startTime: string, duration: number, walltime: number, requestedMemory: number, numNodes: number, numHWThreads: number, numAcc: number, energy: number, shared: string, arrayJobId: number, monitoringStatus: number, tags: Array<{ id: string, type: string, name: string, scope: string }>, footprint: Array<{ name: string, stat: string, value: number } | null> | null, advice: Array<{ rule: string, severity: string, text: string }> }> } };

export type JobCountQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
}>;


export type JobCountQuery = { jobs: { count: number | null } };

export type JobRowFragment = { id: string, jobId: number, jobName: string | null, user: string, project: string, cluster: string, subCluster: string, partition: string, state: string, submitTime: string | null, startTime: string, duration: number, walltime: number, requestedMemory: number, numNodes: number, numHWThreads: number, numAcc: number, energy: number, shared: string, arrayJobId: number, monitoringStatus: number, tags: Array<{ id: string, type: string, name: string, scope: string }>, footprint: Array<{ name: string, stat: string, value: number } | null> | null, advice: Array<{ rule: string, severity: string, text: string }> };

export type MetricsQueryVariables = Exact<{ [key: string]: never; }>;


export type MetricsQuery = { globalMetrics: Array<{ name: string, displayName: string | null, description: string | null, scope: string, footprint: string | null, unit: { base: string, prefix: string | null }, availability: Array<{ cluster: string }> }> };

export type MetricConfigsQueryVariables = Exact<{ [key: string]: never; }>;


export type MetricConfigsQuery = { clusters: Array<{ name: string, subClusters: Array<{ name: string, flopRateScalar: { value: number, unit: { base: string, prefix: string | null } }, flopRateSimd: { value: number, unit: { base: string, prefix: string | null } }, memoryBandwidth: { value: number, unit: { base: string, prefix: string | null } }, metricConfig: Array<{ name: string, displayName: string | null, description: string | null, timestep: number, scope: string, peak: number, normal: number | null, caution: number, alert: number, lowerIsBetter: boolean | null, unit: { base: string, prefix: string | null } }> }> }> };

export type RateFragment = { value: number, unit: { base: string, prefix: string | null } };

export type NodeViewQueryVariables = Exact<{
  cluster: string;
  host: string;
  from: string;
  to: string;
  filter?: Array<JobFilter> | JobFilter | null | undefined;
}>;


export type NodeViewQuery = { nodeHistory: { node: { id: string, hostname: string, subCluster: string, jobsRunning: number, cpusAllocated: number | null, memoryAllocated: number | null, gpusAllocated: number | null, schedulerState: string, healthState: string, metaData: unknown, healthData: unknown }, states: Array<{ time: number, schedulerState: string, states: Array<string> }>, health: Array<{ time: number, healthState: string }> }, jobs: { count: number | null, items: Array<{ id: string, jobId: number, jobName: string | null, user: string, state: string, startTime: string, duration: number, numNodes: number }> } };

export type NodeSeriesQueryVariables = Exact<{
  cluster: string;
  host: string;
  from: string;
  to: string;
  points: number;
}>;


export type NodeSeriesQuery = { nodeMetrics: Array<{ metrics: Array<{ name: string, scope: string, metric: { timestep: number, unit: { base: string, prefix: string | null } | null, series: Array<{ hostname: string, id: string | null, data: Array<number | null>, statistics: { avg: number, min: number, max: number } | null }> | null } }> }> };

export type NodeListQueryVariables = Exact<{
  cluster: string;
  subCluster: string;
  state: string;
  host: string;
  metrics?: Array<string> | string | null | undefined;
  from: string;
  to: string;
  page?: PageRequest | null | undefined;
  points: number;
}>;


export type NodeListQuery = { nodeMetricsList: { totalNodes: number | null, items: Array<{ host: string, subCluster: string, nodeState: string, metricHealth: string, metrics: Array<{ name: string, metric: { timestep: number, unit: { base: string, prefix: string | null } | null, statisticsSeries: { min: Array<number | null>, median: Array<number | null>, max: Array<number | null> } | null } }> }> } };

export type NodeStatesOfSiteQueryVariables = Exact<{ [key: string]: never; }>;


export type NodeStatesOfSiteQuery = { nodes: { items: Array<{ cluster: string, schedulerState: string, healthState: string }> } };

export type NodesOfClusterQueryVariables = Exact<{
  cluster: string;
}>;


export type NodesOfClusterQuery = { nodes: { items: Array<{ id: string, hostname: string, subCluster: string, jobsRunning: number, cpusAllocated: number | null, memoryAllocated: number | null, gpusAllocated: number | null, schedulerState: string, healthState: string }> } };

export type NodeValuesQueryVariables = Exact<{
  cluster: string;
  metric: string;
}>;


export type NodeValuesQuery = { nodesNow: Array<{ host: string, metrics: Array<{ value: number }> }> };

export type RunningJobsQueryVariables = Exact<{
  cluster: string;
  limit: number;
}>;


export type RunningJobsQuery = { jobs: { count: number | null, items: Array<{ id: string, jobId: number, jobName: string | null, user: string, startTime: string, resources: Array<{ hostname: string }> }> } };

export type NodeRowFragment = { id: string, hostname: string, subCluster: string, jobsRunning: number, cpusAllocated: number | null, memoryAllocated: number | null, gpusAllocated: number | null, schedulerState: string, healthState: string };

export type SearchQueryVariables = Exact<{
  jobs?: Array<JobFilter> | JobFilter | null | undefined;
  users?: Array<JobFilter> | JobFilter | null | undefined;
  projects?: Array<JobFilter> | JobFilter | null | undefined;
  nodes?: Array<NodeFilter> | NodeFilter | null | undefined;
  withPeople: boolean;
  withNodes: boolean;
}>;


export type SearchQuery = { jobs: { items: Array<{ id: string, jobId: number, jobName: string | null, user: string, cluster: string, state: string, startTime: string }> }, users?: Array<{ id: string, name: string, totalJobs: number }>, projects?: Array<{ id: string, totalJobs: number }>, nodes?: { items: Array<{ hostname: string, cluster: string, subCluster: string }> } };

export type JobSeriesQueryVariables = Exact<{
  id: string | number;
  metrics?: Array<string> | string | null | undefined;
  scopes?: Array<string> | string | null | undefined;
  points?: number | null | undefined;
  withLines: boolean;
  withBand: boolean;
}>;


export type JobSeriesQuery = { jobMetrics: Array<{ name: string, scope: string, metric: { timestep: number, unit: { base: string, prefix: string | null } | null, series: Array<{ hostname: string, id: string | null, data?: Array<number | null>, statistics: { avg: number, min: number, max: number } | null }> | null, statisticsSeries?: { mean: Array<number | null>, median: Array<number | null>, min: Array<number | null>, max: Array<number | null> } | null } }> };

export type NewSeriesQueryVariables = Exact<{
  id: string | number;
  scopes?: Array<string> | string | null | undefined;
  points?: number | null | undefined;
  from: number;
  withLines: boolean;
  withBand: boolean;
  details?: Array<string> | string | null | undefined;
  withDetails: boolean;
}>;


export type NewSeriesQuery = { jobMetrics: Array<{ name: string, scope: string, metric: { from: number, timestep: number, unit: { base: string, prefix: string | null } | null, series: Array<{ hostname: string, id: string | null, data?: Array<number | null>, statistics: { avg: number, min: number, max: number } | null }> | null, statisticsSeries?: { mean: Array<number | null>, median: Array<number | null>, min: Array<number | null>, max: Array<number | null> } | null } }>, details?: Array<{ name: string, scope: string, metric: { timestep: number, from: number, series: Array<{ hostname: string, id: string | null, data: Array<number | null>, statistics: { avg: number, min: number, max: number } | null }> | null } }> };

export type SeriesOfMetricFragment = { name: string, scope: string, metric: { timestep: number, unit: { base: string, prefix: string | null } | null, series: Array<{ hostname: string, id: string | null, data?: Array<number | null>, statistics: { avg: number, min: number, max: number } | null }> | null, statisticsSeries?: { mean: Array<number | null>, median: Array<number | null>, min: Array<number | null>, max: Array<number | null> } | null } };

export type ClusterStatusQueryVariables = Exact<{
  cluster: string;
  running?: Array<JobFilter> | JobFilter | null | undefined;
  since: number;
}>;


export type ClusterStatusQuery = { nodes: { items: Array<{ id: string, hostname: string, subCluster: string, jobsRunning: number, cpusAllocated: number | null, memoryAllocated: number | null, gpusAllocated: number | null, schedulerState: string, healthState: string }> }, partial: { items: Array<{ hostname: string, healthState: string, healthData: unknown }> }, failed: { items: Array<{ hostname: string, healthState: string, healthData: unknown }> }, all: Array<{ totalJobs: number, totalUsers: number }>, parts: Array<{ id: string, totalJobs: number }>, users: Array<{ id: string, name: string, totalJobs: number, totalNodes: number, totalCores: number, totalAccs: number }>, projects: Array<{ id: string, name: string, totalJobs: number, totalNodes: number, totalCores: number, totalAccs: number }>, states: Array<{ state: string, times: Array<number>, counts: Array<number> }>, health: Array<{ state: string, times: Array<number>, counts: Array<number> }> };

export type ClusterPowerQueryVariables = Exact<{
  cluster: string;
  metrics?: Array<string> | string | null | undefined;
  from: string;
  to: string;
}>;


export type ClusterPowerQuery = { clusterMetrics: { metrics: Array<{ name: string, timestep: number, data: Array<number | null>, unit: { base: string, prefix: string | null } | null }> }, nodesNow: Array<{ subCluster: string, metrics: Array<{ name: string, value: number }> }> };

export type TopFragment = { id: string, name: string, totalJobs: number, totalNodes: number, totalCores: number, totalAccs: number };

export type AddTagsToJobMutationVariables = Exact<{
  job: string | number;
  tags: Array<string | number> | string | number;
}>;


export type AddTagsToJobMutation = { addTagsToJob: Array<{ id: string, type: string, name: string, scope: string }> };

export type RemoveTagsFromJobMutationVariables = Exact<{
  job: string | number;
  tags: Array<string | number> | string | number;
}>;


export type RemoveTagsFromJobMutation = { removeTagsFromJob: Array<{ id: string, type: string, name: string, scope: string }> };

export type TagsQueryVariables = Exact<{ [key: string]: never; }>;


export type TagsQuery = { tags: Array<{ id: string, type: string, name: string, scope: string }> };

export type CreateTagMutationVariables = Exact<{
  type: string;
  name: string;
  scope: string;
}>;


export type CreateTagMutation = { createTag: { id: string, type: string, name: string, scope: string } };

export type RemoveTagsMutationVariables = Exact<{
  ids: Array<string | number> | string | number;
}>;


export type RemoveTagsMutation = { removeTagFromList: Array<number> };

export type UseTableQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
  groupBy: Aggregate;
  sortBy?: SortByAggregate | null | undefined;
  page?: PageRequest | null | undefined;
}>;


export type UseTableQuery = { groups: Array<{ id: string, name: string, totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number }>, whole: Array<{ totalUsers: number, totalProjects: number, totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number }> };

export type UseOfQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
  running?: Array<JobFilter> | JobFilter | null | undefined;
  groupBy: Aggregate;
  zone: string;
  since?: Array<JobFilter> | JobFilter | null | undefined;
}>;


export type UseOfQuery = { whole: Array<{ id: string, name: string, totalUsers: number, totalProjects: number, totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number }>, running: Array<{ totalJobs: number, totalNodes: number, totalCores: number, totalAccs: number }>, bins: Array<{ from: string, to: string, totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number }> };

export type ReportQueryVariables = Exact<{
  filter?: Array<JobFilter> | JobFilter | null | undefined;
  groupBy: Aggregate;
  sortBy: SortByAggregate;
  bin: TimeBin;
  zone: string;
  top: number;
  page?: PageRequest | null | undefined;
}>;


export type ReportQuery = { bins: Array<{ from: string, to: string, totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number }>, parts: Array<{ from: string, id: string, totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number }>, groups: Array<{ id: string, name: string, totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number }>, whole: Array<{ totalUsers: number, totalProjects: number, totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number }> };

export type TotalsFragment = { totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number };

export type BinTotalsFragment = { totalJobs: number, shortJobs: number, failedJobs: number, waitedJobs: number, totalWaitTime: number, totalWalltime: number, totalNodeHours: number, totalCoreHours: number, totalAccHours: number, totalEnergy: number, totalFailedCoreHours: number, totalMeasuredCoreHours: number, totalIdleCoreHours: number, totalMeasuredAccHours: number, totalIdleAccHours: number };
