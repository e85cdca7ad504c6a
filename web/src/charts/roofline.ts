/** A roofline: rate over intensity, both on logarithmic axes, below the limits of the processor. Pure. */

import type { Line } from './curve.ts'

/** Of one node at one time. `rate` in flops/s, `intensity` in flops per byte. */
export interface Dot {
  host: string
  at: number
  rate: number
  intensity: number
}

/** In flops/s and byte/s; 0 is unknown. */
export interface Roofs {
  scalar: number
  simd: number
  bandwidth: number
}

/** A part of the plane, as powers of ten. */
export interface Plane {
  left: number
  right: number
  bottom: number
  top: number
}

/** A dot for each sample that both metrics have; samples without work or traffic have no intensity. */
export function dotsOf(flops: readonly Line[], bandwidth: readonly Line[], timestep: number): Dot[] {
  const byHost = new Map(bandwidth.map((line) => [line.label, line.values]))
  return flops.flatMap(({ label, values }) => {
    const traffic = byHost.get(label) ?? []
    return values.flatMap((rate, sample) => {
      const bytes = traffic[sample]
      return rate && bytes && rate > 0 && bytes > 0 ? [{ host: label, at: sample * timestep, rate, intensity: rate / bytes }] : []
    })
  })
}

/** Whole powers of ten around dots and roofs. */
export function planeOf(dots: readonly Dot[], { simd, scalar, bandwidth }: Roofs): Plane {
  const peak = Math.max(simd, scalar)
  const ridge = peak && bandwidth ? peak / bandwidth : 1
  let [left, right, bottom, top] = [ridge, ridge, peak || Infinity, peak]
  for (const { rate, intensity } of dots) {
    left = Math.min(left, intensity)
    right = Math.max(right, intensity)
    bottom = Math.min(bottom, rate)
    top = Math.max(top, rate)
  }
  const below = (value: number) => Math.floor(Math.log10(value) - 0.3)
  const above = (value: number) => Math.ceil(Math.log10(value) + 0.1)
  return { left: below(left), right: above(right), bottom: Number.isFinite(bottom) ? below(bottom) : 9, top: top ? above(top) : 12 }
}

/** The highest rate at an intensity, with vector instructions or without. */
export const roofAt = (intensity: number, peak: number, bandwidth: number): number =>
  bandwidth ? Math.min(peak || Infinity, intensity * bandwidth) : peak

/** The dot nearest to a place, within `reach` of it; x and y as parts of the width and the height from the lower left corner. */
export function nearestDot(dots: readonly Dot[], plane: Plane, x: number, y: number, reach: number): Dot | null {
  let found: { dot: Dot; distance: number } | null = null
  for (const dot of dots) {
    const place = placeOf(dot, plane)
    const distance = Math.hypot(place.x - x, place.y - y)
    if (distance <= (found?.distance ?? reach)) found = { dot, distance }
  }
  return found?.dot ?? null
}

export const placeOf = ({ rate, intensity }: Pick<Dot, 'rate' | 'intensity'>, { left, right, bottom, top }: Plane) => ({
  x: (Math.log10(intensity) - left) / (right - left),
  y: (Math.log10(rate) - bottom) / (top - bottom),
})

/** The part of a plane between two corners, given as parts of it. */
export function partOf(plane: Plane, a: { x: number; y: number }, b: { x: number; y: number }): Plane {
  const [width, height] = [plane.right - plane.left, plane.top - plane.bottom]
  return {
    left: plane.left + Math.min(a.x, b.x) * width,
    right: plane.left + Math.max(a.x, b.x) * width,
    bottom: plane.bottom + Math.min(a.y, b.y) * height,
    top: plane.bottom + Math.max(a.y, b.y) * height,
  }
}

/** Powers of ten, or 1, 2 and 5 times them where few are shown. */
export function logMarks(from: number, to: number): number[] {
  const steps = to - from > 2 ? [1] : [1, 2, 5]
  const found: number[] = []
  for (let power = Math.floor(from); power <= Math.ceil(to); power++)
    for (const step of steps) {
      const place = Math.log10(step) + power
      if (place >= from - 1e-9 && place <= to + 1e-9) found.push(step * 10 ** power)
    }
  return found
}
