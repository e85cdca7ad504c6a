/** The columns of tables of users, projects and other groups. */

import type { SortByAggregate, Totals } from '../../api/use.ts'
import { count, significant } from '../../lib/formats/number.ts'
import { duration } from '../../lib/formats/duration.ts'
import * as texts from '../../texts/en.ts'

export interface UseColumn {
  key: string
  label: string
  unit?: string
  hint?: string
  /** How the server sorts by it, largest first; missing: it does not. */
  sort?: SortByAggregate
  value: (totals: Totals) => number | null
  show: (value: number) => string
}

const hours = (value: number) => significant(value)
const totals = texts.totals

export const COLUMNS: UseColumn[] = [
  { key: 'jobs', label: totals.totalJobs, sort: 'TOTALJOBS', value: (found) => found.totalJobs, show: count },
  { key: 'short', label: totals.shortJobs, hint: totals.shortHint, sort: 'SHORTJOBS', value: (found) => found.shortJobs, show: count },
  { key: 'failed', label: totals.failedJobs, hint: totals.failedHint, sort: 'FAILEDJOBS', value: (found) => found.failedJobs, show: count },
  {
    key: 'hours',
    label: totals.totalWalltime,
    unit: 'h',
    hint: totals.hoursHint,
    sort: 'TOTALWALLTIME',
    value: (found) => found.totalWalltime,
    show: hours,
  },
  {
    key: 'coreHours',
    label: totals.totalCoreHours,
    unit: 'h',
    sort: 'TOTALCOREHOURS',
    value: (found) => found.totalCoreHours,
    show: hours,
  },
  {
    key: 'accHours',
    label: totals.totalAccHours,
    unit: 'h',
    hint: totals.accHint,
    sort: 'TOTALACCHOURS',
    value: (found) => found.totalAccHours,
    show: hours,
  },
  { key: 'energy', label: totals.totalEnergy, unit: 'kWh', sort: 'TOTALENERGY', value: (found) => found.totalEnergy, show: significant },
  {
    key: 'idle',
    label: totals.totalIdleCoreHours,
    unit: 'h',
    hint: totals.idleHint,
    sort: 'TOTALIDLECOREHOURS',
    value: (found) => (found.totalMeasuredCoreHours ? found.totalIdleCoreHours : null),
    show: hours,
  },
  {
    key: 'idleAcc',
    label: totals.totalIdleAccHours,
    unit: 'h',
    hint: totals.idleAccHint,
    sort: 'TOTALIDLEACCHOURS',
    value: (found) => (found.totalMeasuredAccHours ? found.totalIdleAccHours : null),
    show: hours,
  },
  {
    key: 'wait',
    label: totals.meanWait,
    hint: totals.waitHint,
    value: (found) => (found.waitedJobs ? (found.totalWaitTime / found.waitedJobs) * 3600 : null),
    show: duration,
  },
]

export const columnOf = (key: string): UseColumn => COLUMNS.find((column) => column.key === key) ?? (COLUMNS[0] as UseColumn)

/** The heading and a row for each group, with the numbers unrounded. */
export function tableOf(heading: string[], rows: { texts: string[]; totals: Totals }[]): (string | number | null)[][] {
  const numbers = COLUMNS.map(({ label, unit, key }) => `${label}${unit ? ` (${unit})` : key === 'wait' ? ' (s)' : ''}`)
  return [[...heading, ...numbers], ...rows.map((row) => [...row.texts, ...COLUMNS.map(({ value }) => value(row.totals))])]
}
