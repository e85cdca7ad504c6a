/** How a node looks in the grid: a tone, a mark that says the same, and words. Pure. */

import type { NodeRow } from '../../api/nodes.ts'
import { withUnit, type MetricUnit } from '../../lib/formats/number.ts'

export interface Look {
  /** A class of the tile. */
  tone: string
  mark: string
  text: string
}

/** The states in the order of the legend. */
export const STATES = ['allocated', 'mixed', 'idle', 'reserved', 'down', 'unknown'] as const
export const HEALTH = ['full', 'partial', 'failed'] as const

const STATE_LOOKS: Record<string, [tone: string, mark: string]> = {
  allocated: ['busy', 'A'],
  mixed: ['part', 'M'],
  idle: ['free', 'I'],
  reserved: ['kept', 'R'],
  down: ['bad', 'D'],
}
const HEALTH_LOOKS: Record<string, [tone: string, mark: string]> = { full: ['busy', '✓'], partial: ['warn', '!'], failed: ['bad', '×'] }
const UNKNOWN: [string, string] = ['lost', '?']

export const STEPS = 10

export interface Scale {
  unit: MetricUnit
  /** The value of the last step. */
  top: number
}

/** Up to the peak, so that colours mean the same at any time; higher values raise it. */
export function scaleOf(values: Iterable<number>, peak: number, unit: MetricUnit): Scale {
  let top = Math.max(0, peak)
  for (const value of values) if (value > top) top = value
  return { unit, top: top || 1 }
}

export const stateLook = (state: string): Look => look(STATE_LOOKS[state], state)
export const healthLook = (health: string): Look => look(HEALTH_LOOKS[health], health)

/** The mark is the tenth of the scale, 0 to 9. */
export function valueLook(value: number | undefined, scale: Scale): Look {
  if (value === undefined) return { tone: 'none', mark: '–', text: 'no value' }
  const step = Math.max(0, Math.min(STEPS - 1, Math.floor((value / scale.top) * STEPS)))
  return { tone: `heat-${String(step)}`, mark: String(step), text: withUnit(value, scale.unit) }
}

function look([tone, mark]: [string, string] = UNKNOWN, text: string): Look {
  return { tone, mark, text }
}

export const fits = (node: NodeRow, states: readonly string[], host: string): boolean =>
  (!states.length || states.includes(node.schedulerState)) && node.hostname.toLowerCase().includes(host.toLowerCase())

/** The number of nodes of each state, in the order of the legend; unknown words last. */
export function counts(nodes: readonly { schedulerState: string; healthState: string }[], kind: 'state' | 'health'): [string, number][] {
  const order: readonly string[] = kind === 'state' ? STATES : HEALTH
  const found = new Map<string, number>()
  for (const node of nodes) {
    const state = kind === 'state' ? node.schedulerState : node.healthState
    found.set(state, (found.get(state) ?? 0) + 1)
  }
  const place = (state: string) => (order.includes(state) ? order.indexOf(state) : order.length)
  return [...found].sort(([a], [b]) => place(a) - place(b))
}
