/** Power of a cluster from its metrics in watts. Pure. */

import type { MetricConfig } from '../../api/metrics.ts'
import type { ClusterPower } from '../../api/cluster-status.ts'
import type { Curve } from '../../charts/curve.ts'
import { significant } from '../../lib/formats/number.ts'

/** The newest values of the first metric, summed by subcluster, or over all of them, in kW. `metric` is empty without one. */
export function powerOf(power: ClusterPower | null): { metric: string; text: (part?: string) => string } {
  const metric = power?.clusterMetrics.metrics[0]
  if (!power || !metric) return { metric: '', text: () => '' }
  const factor = metric.unit?.prefix === 'k' ? 1 : metric.unit?.prefix === 'M' ? 1000 : 0.001
  const sums = new Map<string, number>()
  for (const { subCluster, metrics } of power.nodesNow)
    for (const { name, value } of metrics) if (name === metric.name) sums.set(subCluster, (sums.get(subCluster) ?? 0) + value * factor)
  const whole = sums.size ? [...sums.values()].reduce((all, value) => all + value, 0) : undefined
  return { metric: metric.name, text: (part) => significant((part === undefined ? whole : sums.get(part)) ?? Number.NaN) }
}

/** One plot for each metric: its sum over the nodes of the cluster. */
export function powerCurves(power: ClusterPower, configs: MetricConfig[], cluster: string): Curve[] {
  return power.clusterMetrics.metrics.map(({ name, unit, timestep, data }) => {
    const known = data.filter((value): value is number => value !== null)
    const mean = known.reduce((sum, value) => sum + value, 0) / Math.max(1, known.length)
    const config = configs.find((one) => one.name === name)
    return {
      key: name,
      title: (config?.displayName ?? '') || name,
      description: config?.description ?? '',
      unit: unit ?? { base: 'W', prefix: null },
      timestep,
      lines: [{ label: cluster, mean, values: data }],
      band: null,
      thresholds: [],
      series: 1,
      scope: 'node',
      mean,
      largest: Math.max(0, ...known),
      worst: [],
      worstIs: 'highest',
    }
  })
}
