/** Filters as chips: what each says, and the filters without it. */

import { duration } from '../../lib/formats/duration.ts'
import { count, significant } from '../../lib/formats/number.ts'
import { shortTime } from '../../lib/formats/time.ts'
import { LISTS, RANGES, TEXTS, TIMES, type Filters, type Range } from './filters.ts'

export interface Chip {
  key: string
  /** The field of the filter panel. */
  filter: string
  label: string
  value: string
  without: Filters
}

const LABELS: Record<string, string> = {
  subCluster: 'subcluster',
  jobName: 'job name',
  jobId: 'job',
  dbId: 'selected',
  numNodes: 'nodes',
  numHWThreads: 'threads',
  numAccelerators: 'accelerators',
  startTime: 'started',
  overlaps: 'ran',
  arrayJobId: 'array',
  tag: 'tag',
  tagAll: 'with tag',
  tagNone: 'without tag',
}
const SPAN_TEXTS: Record<string, string> = {
  last6h: 'last 6 hours',
  last24h: 'last 24 hours',
  last7d: 'last 7 days',
  last30d: 'last 30 days',
}

export function rangeText(range: Range, show: (value: number) => string): string {
  if (!range.to) return `≥ ${show(range.from)}`
  return range.from ? `${show(range.from)} – ${show(range.to)}` : `≤ ${show(range.to)}`
}

/** `tagNames` are the known names of tags by id. */
export function chips(filters: Filters, now: Date, tagNames: ReadonlyMap<string, string> = new Map()): Chip[] {
  const result: Chip[] = []
  const add = (key: keyof Filters, value: string, without: Filters = leaveOut(filters, key)) => {
    result.push({ key: `${key} ${value}`, filter: key, label: LABELS[key] ?? key, value, without })
  }
  for (const key of LISTS) {
    const values = filters[key]
    if (!values) continue
    if (key === 'dbId') {
      add(key, `${count(values.length)} jobs`)
      continue
    }
    for (const value of values) {
      const rest = values.filter((other) => other !== value)
      const shown = key.startsWith('tag') ? (tagNames.get(value) ?? value) : key === 'state' ? value.replaceAll('_', ' ') : value
      add(key, shown, rest.length ? { ...filters, [key]: rest } : leaveOut(filters, key))
    }
  }
  for (const key of TEXTS) if (filters[key]) add(key, filters[key])
  if (filters.arrayJobId) add('arrayJobId', String(filters.arrayJobId))
  for (const key of RANGES) {
    const range = filters[key]
    if (range) add(key, rangeText(range, key === 'duration' ? duration : key === 'energy' ? (value) => `${significant(value)} kWh` : count))
  }
  for (const key of TIMES) {
    const span = filters[key]
    if (!span) continue
    const shown = 'range' in span ? (SPAN_TEXTS[span.range] ?? span.range) : rangeText(span, (at) => shortTime(new Date(at * 1000), now))
    add(key, shown)
  }
  for (const stat of filters.stat ?? []) {
    const rest = (filters.stat ?? []).filter((other) => other !== stat)
    result.push({
      key: `stat ${stat.name}`,
      filter: `stat.${stat.name}`,
      label: stat.name,
      value: rangeText(stat, String),
      without: rest.length ? { ...filters, stat: rest } : leaveOut(filters, 'stat'),
    })
  }
  return result
}

function leaveOut(filters: Filters, key: keyof Filters): Filters {
  const match = `${key}Match`
  return Object.fromEntries(Object.entries(filters).filter(([name]) => name !== key && name !== match)) as Filters
}
