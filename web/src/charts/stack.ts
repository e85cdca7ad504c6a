/** Stacked bars: what is above what, and the marks of the axis. Pure. */

export interface StackPart {
  key: string
  value: number
}

export interface Bar {
  key: string
  label: string
  parts: StackPart[]
}

export interface Box {
  key: string
  value: number
  /** Lower and upper end. */
  from: number
  to: number
}

/** The parts of a bar in the order of `keys`, one above the other; parts without a value are left out. */
export function boxes(bar: Bar, keys: string[]): Box[] {
  let level = 0
  return keys.flatMap((key) => {
    const value = bar.parts.find((part) => part.key === key)?.value ?? 0
    if (!(value > 0)) return []
    const from = level
    level += value
    return [{ key, value, from, to: level }]
  })
}

export const height = (bar: Bar): number => bar.parts.reduce((sum, { value }) => sum + Math.max(0, value), 0)

/** About four round marks from 0 to the first at or above `largest`. */
export function marks(largest: number): number[] {
  if (!(largest > 0) || !Number.isFinite(largest)) return [0, 1]
  const raw = largest / 4
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw * 0.9999) ?? 10) * power
  const count = Math.ceil(largest / step - 1e-9)
  return Array.from({ length: count + 1 }, (_, at) => Number((at * step).toPrecision(12)))
}

/** Every how many bars have a label, so that at most `most` labels stand side by side. */
export const labelStep = (bars: number, most: number): number => Math.max(1, Math.ceil(bars / Math.max(1, most)))
