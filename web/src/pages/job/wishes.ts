/** What the curves of a job ask for. */

import type { Job } from '../../api/jobs.ts'
import type { MetricConfig } from '../../api/metrics.ts'
import type { MetricSeries, NewDetails, NewMetricSeries, NewSeriesWish, SeriesWish } from '../../api/series.ts'
import { MAX_LINES } from '../../charts/curve.ts'

export interface CurvesApi {
  jobSeries: (id: string, wish: SeriesWish, signal?: AbortSignal) => Promise<MetricSeries[]>
  newSeries: (id: string, wish: NewSeriesWish, signal?: AbortSignal) => Promise<{ curves: NewMetricSeries[]; details: NewDetails[] }>
  archivedScopes: (id: string) => Promise<string[]>
  metricConfigs: (cluster: string, subCluster: string) => Promise<MetricConfig[]>
}

export type CurvesJob = Pick<Job, 'id' | 'startTime' | 'cluster' | 'subCluster' | 'state' | 'monitoringStatus' | 'numNodes' | 'numAcc'>

export const ARCHIVED = 3 // of monitoringStatus
export const POINTS = 300 // about one for two pixels of a plot
const FEW_PARTS = ['socket', 'memoryDomain', 'accelerator'] // a node has few of them

export const wishOf = (job: CurvesJob, scope: string) => ({ points: POINTS, scope, withLines: hasFewSeries(job, scope) })

const hasFewSeries = ({ numNodes }: CurvesJob, scope: string) =>
  scope === 'node' ? numNodes <= MAX_LINES : numNodes === 1 && FEW_PARTS.includes(scope)
