/** From the metrics of a node to its small plots. Pure. */

import type { ListedNode } from '../../api/node-list.ts'
import type { Metric, MetricConfig } from '../../api/metrics.ts'
import { extent, thresholdsOf } from '../../charts/curve.ts'
import type { Spark } from '../../charts/spark.ts'
import { withUnit } from '../../lib/formats/number.ts'
import * as texts from '../../texts/en.ts'
import { titleOf } from '../jobs/plots.ts'

export interface NodeSpark {
  metric: string
  /** Null without samples. */
  spark: Spark | null
  /** The newest value. */
  newest: string
  sentence: string
}

/** One for each of the names; `until` is the length of the window in seconds. */
export function sparksOf(
  { host, metrics }: ListedNode,
  names: string[],
  until: number,
  known: ReadonlyMap<string, Metric>,
  configs: MetricConfig[],
): NodeSpark[] {
  return names.map((name) => {
    const title = titleOf(known.get(name), name)
    const found = metrics.find((one) => one.name === name)?.metric
    const band = found?.statisticsSeries
    const values = band?.median.filter((value) => value !== null) ?? []
    const unit = found?.unit ?? known.get(name)?.unit
    if (!found || !band || !values.length) return { metric: name, spark: null, newest: '', sentence: texts.nodelist.nothingOf(title, host) }
    const text = (value: number | null) => withUnit(value, unit)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    return {
      metric: name,
      spark: { ...band, timestep: found.timestep, until, thresholds: thresholdsOf(configs.find((one) => one.name === name)) },
      newest: text(values.at(-1) ?? null),
      sentence: texts.nodelist.of(title, host, text(mean), text(extent(band.max)[1])),
    }
  })
}
