/** The table of the nodes of a job, or of their parts, with a statistic of each metric. Pure. */

import type { MetricOfHosts } from '../../api/host-statistics.ts'

export type Statistic = 'avg' | 'min' | 'max'
export const STATISTICS: Statistic[] = ['avg', 'min', 'max']

export interface HostRow {
  /** Of the row: the host, and the part of it at a finer scope. */
  key: string
  host: string
  part: string
  /** In the order of the metrics; null: no value. */
  values: (number | null)[]
}

/** In the order of the hosts, parts by their number. */
export function hostRows(found: MetricOfHosts[], statistic: Statistic): HostRow[] {
  const rows = new Map<string, HostRow>()
  found.forEach(({ stats }, column) => {
    for (const { hostname, id, data } of stats) {
      const key = `${hostname} ${id ?? ''}`
      const row = rows.get(key) ?? { key, host: hostname, part: id ?? '', values: found.map(() => null) }
      row.values[column] = data[statistic]
      rows.set(key, row)
    }
  })
  return [...rows.values()].toSorted((a, b) => byName(a.host, b.host) || byName(a.part, b.part))
}

const byName = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true })

export interface Order {
  /** Of the metric; null: by host. */
  column: number | null
  isFalling: boolean
}

/** Rows without a value come last, in either direction. */
export function ordered(rows: HostRow[], { column, isFalling }: Order): HostRow[] {
  if (column === null) return isFalling ? rows.toReversed() : rows
  return rows.toSorted((a, b) => {
    const [one, other] = [a.values[column] ?? null, b.values[column] ?? null]
    if (one === null || other === null) return Number(one === null) - Number(other === null)
    return isFalling ? other - one : one - other
  })
}
