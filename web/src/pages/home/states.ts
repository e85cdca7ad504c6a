import type { StateCount } from '../../api/home.ts'

export interface Part {
  state: string
  count: number
  share: number
  tone: 'good' | 'info' | 'idle' | 'warn' | 'bad'
}

// `nodeStates` lists scheduler states and health states in one list; these are the former, in the order in which they are shown.
const TONES: Record<string, Part['tone']> = {
  allocated: 'good',
  mixed: 'info',
  idle: 'idle',
  reserved: 'warn',
  down: 'bad',
  unknown: 'bad',
}

/** The scheduler states of the nodes of a cluster, those without nodes left out. */
export function partsOfNodes(states: StateCount[]): Part[] {
  const found = Object.entries(TONES).flatMap(([state, tone]) => {
    const count = states.find((one) => one.state === state)?.count ?? 0
    return count ? [{ state, count, tone }] : []
  })
  const all = found.reduce((sum, { count }) => sum + count, 0)
  return found.map((part) => ({ ...part, share: part.count / all }))
}
