/** Metrics for tests. */

import type { MetricConfig } from '../../api/metrics.ts'
import type { MetricSeries } from '../../api/series.ts'

export const config = (name: string, changes: Partial<MetricConfig> = {}): MetricConfig => ({
  name,
  displayName: null,
  description: null,
  unit: { base: 'W', prefix: '' },
  timestep: 30,
  scope: 'hwthread',
  peak: 100,
  normal: 50,
  caution: 20,
  alert: 0,
  lowerIsBetter: false,
  ...changes,
})

export const metric = (name: string, hosts: number, changes: { scope?: string; withLines?: boolean } = {}): MetricSeries => ({
  name,
  scope: changes.scope ?? 'node',
  metric: {
    unit: { base: 'W', prefix: '' },
    timestep: 60,
    series: Array.from({ length: hosts }, (_, host) => ({
      hostname: `f${String(host)}`,
      id: null,
      statistics: { avg: host, min: 0, max: 2 * host },
      ...(changes.withLines === false ? {} : { data: [host, null] }),
    })),
    statisticsSeries: { mean: [1, 2], median: [3, 4], min: [0, 0], max: [9, 9] },
  },
})
