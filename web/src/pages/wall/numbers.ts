/** The numbers of a wall screen, from what a session or a link may read. Pure. */

import type { ClusterPower, ClusterStatus, StatesOverTime } from '../../api/cluster-status.ts'
import type { WallObject } from '../../api/wall.ts'
import { significant } from '../../lib/formats/number.ts'
import type { SubCluster } from '../../session.ts'
import { counts, STATES } from '../nodes/look.ts'
import { powerOf } from '../status/power.ts'
import { BUSY, partsNow, total } from '../status/summary.ts'

export interface WallNumbers {
  jobs: number
  users: number
  nodes: number
  busy: number
  free: number
  cores: { used: number; whole: number }
  gpus: { used: number; whole: number }
  /** In kW; empty: unknown. */
  power: string
  /** The number of nodes by state, in the order of the legend. */
  states: [string, number][]
  history: StatesOverTime[]
  /** When they were read, Unix seconds. */
  to: number
}

export function numbersOfStatus(status: ClusterStatus, power: ClusterPower | null, parts: readonly SubCluster[], to: number): WallNumbers {
  const { busy, free, nodes, cores, gpus } = total(partsNow(status.nodes.items, parts, new Map()))
  const [all] = status.all
  return {
    ...{ busy, free, nodes, cores, gpus, to },
    jobs: all?.totalJobs ?? 0,
    users: all?.totalUsers ?? 0,
    power: powerOf(power).text(),
    states: counts(status.nodes.items, 'state'),
    history: status.states,
  }
}

export function numbersOfLink(found: WallObject): WallNumbers {
  const now = new Map<string, number>()
  for (const { states } of found.subClusters)
    for (const [state, nodes] of Object.entries(states)) now.set(state, (now.get(state) ?? 0) + nodes)
  const of = (...states: string[]) => states.reduce((sum, state) => sum + (now.get(state) ?? 0), 0)
  const sum = (value: (part: WallObject['subClusters'][number]) => number) => found.subClusters.reduce((all, part) => all + value(part), 0)
  const known: string[] = [...STATES]
  const place = (state: string) => (known.includes(state) ? known.indexOf(state) : known.length)
  return {
    jobs: found.runningJobs,
    users: found.users,
    nodes: of(...now.keys()),
    busy: of(...BUSY),
    free: of('idle'),
    cores: { used: sum((part) => part.coresAllocated), whole: sum((part) => part.cores) },
    gpus: { used: sum((part) => part.acceleratorsAllocated), whole: sum((part) => part.accelerators) },
    power: found.powerKw === null ? '' : significant(found.powerKw),
    states: [...now].sort(([a], [b]) => place(a) - place(b)),
    history: found.history,
    to: found.time,
  }
}
