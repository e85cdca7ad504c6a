/** Numbers of a cluster for its status page. Pure. */

import type { NodeRow } from '../../api/nodes.ts'
import type { StatesOverTime } from '../../api/cluster-status.ts'
import type { SubCluster } from '../../session.ts'

export interface PartNow {
  name: string
  /** Jobs run on them, wholly or in part. */
  busy: number
  /** Idle and in no other state. */
  free: number
  other: number
  nodes: number
  jobs: number
  /** `whole`: of all nodes of the subcluster that are reported. */
  cores: { used: number; whole: number }
  gpus: { used: number; whole: number }
}

export const BUSY = ['allocated', 'mixed']

/** One line for each subcluster that has nodes, in the order of the configuration. */
export function partsNow(nodes: readonly NodeRow[], configured: readonly SubCluster[], jobs: ReadonlyMap<string, number>): PartNow[] {
  const groups = Map.groupBy(nodes, ({ subCluster }) => subCluster)
  const names = [...new Set([...configured.map(({ name }) => name), ...groups.keys()])].filter((name) => groups.has(name))
  return names.map((name) => {
    const found = groups.get(name) ?? []
    const config = configured.find((one) => one.name === name)
    const busy = found.filter(({ schedulerState }) => BUSY.includes(schedulerState)).length
    const free = found.filter(({ schedulerState }) => schedulerState === 'idle').length
    const sum = (of: (node: NodeRow) => number | null) => found.reduce((total, node) => total + (of(node) ?? 0), 0)
    return {
      name,
      busy,
      free,
      other: found.length - busy - free,
      nodes: found.length,
      jobs: jobs.get(name) ?? 0,
      cores: { used: sum((node) => node.cpusAllocated), whole: found.length * (config?.cores ?? 0) },
      gpus: { used: sum((node) => node.gpusAllocated), whole: found.length * (config?.accelerators ?? 0) },
    }
  })
}

/** All subclusters together. */
export function total(parts: readonly PartNow[]): Omit<PartNow, 'name' | 'jobs'> {
  const sum = (of: (part: PartNow) => number) => parts.reduce((all, part) => all + of(part), 0)
  return {
    busy: sum(({ busy }) => busy),
    free: sum(({ free }) => free),
    other: sum(({ other }) => other),
    nodes: sum(({ nodes }) => nodes),
    cores: { used: sum(({ cores }) => cores.used), whole: sum(({ cores }) => cores.whole) },
    gpus: { used: sum(({ gpus }) => gpus.used), whole: sum(({ gpus }) => gpus.whole) },
  }
}

export interface Layer {
  state: string
  /** Points of the upper edge and, backwards, of the lower one: `x,y` in percent of the width and height. */
  points: string
}

/** Stacked areas; straight lines between the points are the truth within a second (docs/gateway.md). */
export function layers(found: readonly StatesOverTime[], from: number, to: number): { layers: Layer[]; top: number } {
  const times = [...new Set(found.flatMap(({ times }) => times))].filter((time) => time >= from && time <= to).sort((a, b) => a - b)
  const columns = found.map((one) => times.map((time) => valueAt(one, time)))
  const top = Math.max(1, ...times.map((_, index) => columns.reduce((sum, column) => sum + (column[index] ?? 0), 0)))
  const below = times.map(() => 0)
  const x = (time: number) => (((time - from) / (to - from)) * 100).toFixed(2)
  const y = (value: number) => (100 - (value / top) * 100).toFixed(2)
  const made = found.map(({ state }, layer) => {
    const lower = times.map((time, index) => `${x(time)},${y(below[index] ?? 0)}`).reverse()
    const upper = times.map((time, index) => {
      below[index] = (below[index] ?? 0) + (columns[layer]?.[index] ?? 0)
      return `${x(time)},${y(below[index] ?? 0)}`
    })
    return { state, points: [...upper, ...lower].join(' ') }
  })
  return { layers: made, top }
}

/** With the number of nodes by state now as the end. The last time of the history may be part of a report that has more parts, and is left out. */
export function untilNow(found: readonly StatesOverTime[], now: ReadonlyMap<string, number>, to: number): StatesOverTime[] {
  const last = Math.max(...found.flatMap(({ times }) => times))
  const known = new Map(found.map((one) => [one.state, one]))
  return [...new Set([...known.keys(), ...now.keys()])].map((state) => {
    const { times, counts } = known.get(state) ?? { times: [], counts: [] }
    const kept = times.filter((time) => time < last)
    return { state, times: [...kept, to], counts: [...counts.slice(0, kept.length), now.get(state) ?? 0] }
  })
}

function valueAt({ times, counts }: StatesOverTime, time: number): number {
  const after = times.findIndex((other) => other >= time)
  if (after < 0) return 0
  const [end, last] = [times[after] ?? time, counts[after] ?? 0]
  if (end === time || after === 0) return end === time ? last : 0
  const [begin, first] = [times[after - 1] ?? time, counts[after - 1] ?? 0]
  return first + ((last - first) * (time - begin)) / (end - begin)
}
