/** What the keys do in plots and maps. Pure. */

import type { Span } from './curve.ts'

/** The samples that a plot has and the part of them that it shows. */
export interface Extent {
  samples: number
  timestep: number
  zoom: Span | null
}

const WIDE = 10 // samples of a step with Shift
const MIN_SAMPLES = 2 // of the narrowest zoom

const wholeOf = ({ samples, timestep }: Extent): Span => ({ from: 0, to: Math.max(1, samples - 1) * timestep })

/** Where a key moves the cursor; undefined for other keys. Without a cursor the first step goes to the end that the key comes from. */
export function movedTo(key: string, isWide: boolean, at: number | null, extent: Extent): number | undefined {
  const { timestep } = extent
  const { from, to } = extent.zoom ?? wholeOf(extent)
  const first = Math.ceil(from / timestep)
  const last = Math.min(extent.samples - 1, Math.floor(to / timestep))
  const sample = at === null ? null : Math.round(at / timestep)
  const step = isWide ? WIDE : 1
  const goals: Record<string, number> = {
    ArrowRight: sample === null ? first : sample + step,
    ArrowLeft: sample === null ? last : sample - step,
    Home: first,
    End: last,
  }
  const goal = goals[key]
  return goal === undefined ? undefined : Math.max(first, Math.min(last, goal)) * timestep
}

/** The zoom after a key, null for the whole time; undefined for other keys. `+` and `-` stay around the cursor. */
export function zoomedTo(key: string, at: number | null, extent: Extent): Span | null | undefined {
  if (key === '0') return null
  const factor = { '+': 0.5, '=': 0.5, '-': 2 }[key]
  if (factor === undefined) return undefined
  const whole = wholeOf(extent)
  const { from, to } = extent.zoom ?? whole
  const centre = at !== null && at >= from && at <= to ? at : (from + to) / 2
  const next = { from: Math.max(0, centre - (centre - from) * factor), to: Math.min(whole.to, centre + (to - centre) * factor) }
  if (next.to - next.from < MIN_SAMPLES * extent.timestep) return extent.zoom
  return next.from === 0 && next.to === whole.to ? null : next
}
