/** The columns of the job table. */

import type { Metric } from '../../api/metrics.ts'
import type { JobRow } from '../../api/jobs.ts'
import { titleOf } from './plots.ts'

export interface Column {
  key: string
  label: string
  /** Shown below the label. */
  unit?: string
  /** By what the list is sorted; missing: it is not. */
  sort?: string
  isNumber?: boolean
  /** Shown unless the viewer chose others. */
  isDefault?: boolean
}

const FIXED: Column[] = [
  { key: 'state', label: 'State', sort: 'state', isDefault: true },
  { key: 'jobId', label: 'Job', sort: 'jobId', isDefault: true },
  { key: 'jobName', label: 'Name', sort: 'jobName', isDefault: true },
  { key: 'user', label: 'User', sort: 'user', isDefault: true },
  { key: 'project', label: 'Project', sort: 'project', isDefault: true },
  { key: 'cluster', label: 'Cluster', sort: 'cluster', isDefault: true },
  { key: 'partition', label: 'Partition', sort: 'partition' },
  { key: 'numNodes', label: 'Nodes', sort: 'numNodes', isNumber: true, isDefault: true },
  { key: 'numHWThreads', label: 'Threads', sort: 'numHWThreads', isNumber: true },
  { key: 'numAcc', label: 'Accel.', sort: 'numAcc', isNumber: true },
  { key: 'startTime', label: 'Start', sort: 'startTime', isNumber: true, isDefault: true },
  { key: 'duration', label: 'Duration', sort: 'duration', isNumber: true, isDefault: true },
  { key: 'advice', label: 'Advice', isDefault: true },
  { key: 'walltime', label: 'Limit', sort: 'walltime', isNumber: true },
  { key: 'wait', label: 'Waited', isNumber: true },
  { key: 'energy', label: 'Energy', unit: 'kWh', sort: 'energy', isNumber: true },
  { key: 'tags', label: 'Tags' },
]

export interface FootprintColumn extends Column {
  metric: string
  stat: string
}

const footprintKey = (entry: { name: string; stat: string }) => `${entry.name}_${entry.stat}`

/** One column for each footprint of the metrics that the viewer may see. */
export function footprintColumns(metrics: ReadonlyMap<string, Metric>): FootprintColumn[] {
  return [...metrics.values()]
    .filter((metric) => metric.footprint)
    .map((metric) => {
      const { name, unit, footprint } = metric
      const stat = footprint ?? 'avg'
      return {
        key: footprintKey({ name, stat }),
        label: stat === 'avg' ? titleOf(metric, name) : `${titleOf(metric, name)} ${stat}`,
        unit: `${unit.prefix ?? ''}${unit.base}`,
        sort: footprintKey({ name, stat }),
        isNumber: true,
        isDefault: true,
        metric: name,
        stat,
      }
    })
}

/** All columns: the footprints stand before the tags. */
export function allColumns(metrics: ReadonlyMap<string, Metric>): (Column | FootprintColumn)[] {
  const at = FIXED.findIndex((column) => column.key === 'tags')
  return [...FIXED.slice(0, at), ...footprintColumns(metrics), ...FIXED.slice(at)]
}

export const isFootprint = (column: Column): column is FootprintColumn => 'metric' in column

export function footprintOf(row: JobRow, column: FootprintColumn): number | null {
  return row.footprint?.find((entry) => entry?.name === column.metric && entry.stat === column.stat)?.value ?? null
}

/** The largest value of each footprint column on the page, for the bars. */
export function largest(rows: JobRow[], columns: Column[]): Map<string, number> {
  return new Map(
    columns.filter(isFootprint).map((column) => [column.key, Math.max(0, ...rows.map((row) => footprintOf(row, column) ?? 0))]),
  )
}

/** `chosen` is a stored list of keys. Keys that no longer exist are passed over. */
export function shownColumns(all: Column[], chosen: unknown): Column[] {
  if (!Array.isArray(chosen)) return all.filter((column) => column.isDefault)
  const shown = all.filter((column) => chosen.includes(column.key))
  return shown.length ? shown : all.filter((column) => column.isDefault)
}
