/** Cells over one or two axes: where they are, and how they are reached by keyboard. Pure. */

import { logMarks } from './roofline.ts'
import { marks as roundMarks } from './stack.ts'

export interface CellAxis {
  label: string
  /** Bounds of the bins, rising. */
  edges: readonly number[]
  isLog: boolean
  /** A value at the axis. */
  show: (value: number) => string
  /** Values that get a mark, where the usual ones say little. */
  marks?: readonly number[]
}

/** `x` and `y` are numbers of bins. */
export interface Cell {
  x: number
  y: number
  weight: number
  /** What is there, in words. */
  text: string
  /** The jobs of the cell, relative to the base path; empty if no filter selects them. */
  href: string
}

export interface Roof {
  name: string
  /** In the units of the axes. 0: unknown. */
  peak: number
  bandwidth: number
}

export const first = (axis: CellAxis): number => axis.edges[0] ?? 0
export const last = (axis: CellAxis): number => axis.edges.at(-1) ?? 1

/** The place of a value on the axis: from 0 to 1. */
export function placeOn(axis: CellAxis, value: number): number {
  const [from, to] = [first(axis), last(axis)]
  return axis.isLog ? Math.log(value / from) / Math.log(to / from) : (value - from) / (to - from)
}

export function axisMarks(axis: CellAxis): number[] {
  const [from, to] = [first(axis), last(axis)]
  const found = axis.marks ?? (axis.isLog ? logMarks(Math.log10(from), Math.log10(to)) : roundMarks(to))
  return found.filter((mark) => mark >= from && mark <= to)
}

/** The bin of a place on the axis; null outside. */
export function binAt(axis: CellAxis, place: number): number | null {
  const bin = axis.edges.findIndex((edge, at) => at > 0 && placeOn(axis, edge) >= place) - 1
  return place < 0 || bin < 0 ? null : bin
}

const STEPS: Record<string, [x: number, y: number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }

/** The cell that an arrow key leads to: the nearest one in its direction. Undefined for other keys, and where there is none. */
export function cellAfter(cells: readonly Cell[], at: number | null, key: string): number | undefined {
  const step = STEPS[key]
  if (key === 'Home' || (step && at === null)) return cells.length ? 0 : undefined
  if (key === 'End') return cells.length ? cells.length - 1 : undefined
  const from = cells[at ?? -1]
  if (!step || !from) return undefined
  let [found, least]: [number | undefined, number] = [undefined, Infinity]
  cells.forEach((cell, index) => {
    const [x, y] = [cell.x - from.x, cell.y - from.y]
    const [ahead, aside] = step[0] ? [x * step[0], Math.abs(y)] : [y * step[1], Math.abs(x)]
    const distance = ahead + 2 * aside
    if (ahead > 0 && distance < least) [found, least] = [index, distance]
  })
  return found
}

/** From 0 to 1 on a logarithmic scale of three decades, since few cells have most of the weight. */
export const shade = (weight: number, largest: number): number => Math.max(0, 1 + Math.log10(weight / largest) / 3)
