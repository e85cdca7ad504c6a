/** What can stand on an axis: footprints of the cluster's metrics, and numbers of every job. Pure. */

import type { DistributionAxis } from '../../api/analysis.ts'
import type { Metric, MetricConfig } from '../../api/metrics.ts'
import type { CellAxis } from '../../charts/cells.ts'
import { duration } from '../../lib/formats/duration.ts'
import { count, withUnit, type MetricUnit } from '../../lib/formats/number.ts'
import type { SubCluster } from '../../session.ts'
import * as texts from '../../texts/en.ts'
import type { Filters, Range } from '../jobs/filters.ts'

export interface Quantity {
  /** As the gateway and the address call it. */
  key: string
  label: string
  axis: (bins: number) => DistributionAxis
  show: (value: number) => string
  /** The filters of the jobs from one edge of a bin to the next. */
  filter: (filters: Filters, range: Range) => Filters
  marks?: readonly number[]
  isFootprint?: boolean
  /** Bins hold whole numbers, and end before their upper edge. */
  isWhole?: boolean
}

const HOUR = 3600
const DURATION_MARKS = [1, 10, 60, 600, HOUR, 6 * HOUR, 24 * HOUR, 7 * 24 * HOUR, 30 * 24 * HOUR]
const DURATION_NAMES = ['1 s', '10 s', '1 min', '10 min', '1 h', '6 h', '1 d', '7 d', '30 d']
const ENERGY: MetricUnit = { base: 'Wh', prefix: 'k' }
const LOG_BINS = 40

/** A bin for each power of two, up to the first that holds `largest`. */
const powers = (quantity: string, largest: number): DistributionAxis => {
  const bins = Math.max(1, Math.ceil(Math.log2(largest + 1)))
  return { quantity, from: 1, to: 2 ** bins, bins, scale: 'LOG' }
}

const inRange =
  (key: 'duration' | 'numNodes' | 'numHWThreads' | 'numAccelerators' | 'energy') =>
  (filters: Filters, range: Range): Filters => ({ ...filters, [key]: range })

function plain(subClusters: SubCluster[]): Quantity[] {
  const whole = (of: (one: SubCluster) => number, least: number) => Math.max(least, ...subClusters.map((one) => one.nodes * of(one)))
  const nodes = subClusters.reduce((sum, one) => sum + one.nodes, 0)
  const counted = (key: 'numNodes' | 'numHWThreads' | 'numAcc', largest: number): Quantity => ({
    key,
    label: texts.analysis[key],
    axis: () => powers(key, largest),
    show: count,
    filter: inRange(key === 'numAcc' ? 'numAccelerators' : key),
    isWhole: true,
  })
  return [
    {
      key: 'duration',
      label: texts.analysis.duration,
      axis: () => ({ quantity: 'duration', from: 1, bins: LOG_BINS, scale: 'LOG' }),
      show: (value) => DURATION_NAMES[DURATION_MARKS.indexOf(value)] ?? duration(value),
      filter: inRange('duration'),
      marks: DURATION_MARKS,
    },
    counted('numNodes', nodes || 1024),
    counted('numHWThreads', 2 * whole(({ cores }) => cores, 1024)), // two threads of a core, where jobs use them
    ...(subClusters.some(({ accelerators }) => accelerators)
      ? [
          counted(
            'numAcc',
            whole(({ accelerators }) => accelerators, 8),
          ),
        ]
      : []),
    {
      key: 'energy',
      label: texts.analysis.energy,
      axis: () => ({ quantity: 'energy', from: 0.001, bins: LOG_BINS, scale: 'LOG' }),
      show: (value) => withUnit(value, ENERGY),
      filter: inRange('energy'),
    },
  ]
}

/** Footprints first. `configs` are the metrics of the cluster, for their peaks. */
export function quantities(metrics: Iterable<Metric>, configs: readonly MetricConfig[], subClusters: SubCluster[]): Quantity[] {
  const known = new Map(configs.map((config) => [config.name, config]))
  const footprints = [...metrics].flatMap(({ name, displayName, unit, footprint }): Quantity[] => {
    const config = known.get(name)
    if (!footprint || !config) return []
    const key = `${name}_${footprint}`
    const label = `${displayName ?? name}${footprint === 'avg' ? '' : ` (${footprint})`}`
    return [
      {
        key,
        label,
        axis: (bins) => ({ quantity: key, bins, ...(config.peak > 0 ? { to: config.peak } : {}) }),
        show: (value) => withUnit(value, unit),
        isFootprint: true,
        filter: (filters, range) => ({ ...filters, stat: [...(filters.stat ?? []), { name: key, ...range }] }),
      },
    ]
  })
  return [...footprints, ...plain(subClusters)]
}

/** The axis of an answer. */
export const cellAxis = ({ label, show, marks }: Quantity, edges: readonly number[], scale: unknown): CellAxis => ({
  label,
  edges,
  isLog: scale === 'LOG',
  show,
  ...(marks ? { marks } : {}),
})

const USUAL_PAIR = ['mem_bw_avg', 'flops_any_avg']
const USUAL_HISTOGRAMS = 4 // footprints, beside durations and nodes

/** The quantities of a map: those that are asked for, else the usual ones, else the first ones. Null if there are not two. */
export function pairOf(all: Quantity[], across: string, upwards: string): [Quantity, Quantity] | null {
  const find = (key: string | undefined) => all.find((one) => one.key === key)
  const x = find(across) ?? find(USUAL_PAIR[0]) ?? all[0]
  const y = find(upwards) ?? find(USUAL_PAIR[1]) ?? all[1]
  return x && y ? [x, y] : null
}

/** The quantities with these keys; without any of them, some footprints, durations and nodes. */
export function shownHistograms(all: Quantity[], keys: string[]): Quantity[] {
  const chosen = keys.flatMap((key) => all.find((one) => one.key === key) ?? [])
  if (chosen.length) return chosen
  const footprints = all.filter(({ isFootprint }) => isFootprint).slice(0, USUAL_HISTOGRAMS)
  return [...footprints, ...all.filter(({ key }) => key === 'duration' || key === 'numNodes')]
}
