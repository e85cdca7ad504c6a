/** What a small plot shows, and how it is drawn: a band, its median and the limits; no axes. */

import { extent, valueRange, type Threshold, type Values } from './curve.ts'
import type { Palette } from './palette.ts'

/** Element b of a list covers `timestep` seconds from `b * timestep` seconds after the start. */
export interface Spark {
  timestep: number
  /** The end of the time axis in seconds, so that the plots of a job stand below each other. */
  until: number
  min: Values
  median: Values
  max: Values
  thresholds: readonly Threshold[]
}

const LINE_PX = 1.25
const DASHES: Record<Threshold['kind'], number[]> = { normal: [1, 3], caution: [2, 3], alert: [5, 3] }

/** The places of values without a gap between them. */
export function runs(values: Values): number[][] {
  const found: number[][] = []
  let run: number[] = []
  values.forEach((value, index) => {
    if (value === null) run = []
    else if (run.push(index) === 1) found.push(run)
  })
  return found
}

export function drawSpark(
  context: CanvasRenderingContext2D,
  { width, height }: { width: number; height: number },
  { timestep, until, min, median, max, thresholds }: Spark,
  colours: Palette,
): void {
  const [low, high] = valueRange(extent(min)[0], extent(max)[1], thresholds)
  const x = (index: number) => ((index + 0.5) * timestep * width) / until
  const y = (value: number | null | undefined) => 1 + ((high - (value ?? 0)) / (high - low)) * (height - 2)
  const half = Math.max(LINE_PX, (timestep * width) / until / 2)
  /** A value between gaps is as wide as the time that it covers. */
  const widened = ([left, top]: [number, number], _: number, run: unknown[]): [number, number][] =>
    run.length > 1
      ? [[left, top]]
      : [
          [left - half, top],
          [left + half, top],
        ]
  const trace = (points: [x: number, y: number][]) => {
    context.beginPath()
    points.forEach(([left, top]) => {
      context.lineTo(left, top) // the first one only moves there
    })
  }

  context.lineWidth = 1
  context.globalAlpha = 0.7
  for (const { kind, value } of thresholds) {
    if (value > high) continue
    const top = Math.round(y(value)) + 0.5
    context.strokeStyle = colours[kind]
    context.setLineDash(DASHES[kind])
    trace([
      [0, top],
      [width, top],
    ])
    context.stroke()
  }
  context.setLineDash([])
  context.globalAlpha = 1
  context.lineWidth = LINE_PX
  context.lineJoin = 'round'
  context.strokeStyle = context.fillStyle = colours.curves[0] ?? colours.ink
  for (const run of runs(median)) {
    const edge = (values: Values) => run.map((index): [number, number] => [x(index), y(values[index])]).flatMap(widened)
    context.globalAlpha = 0.25
    trace([...edge(max), ...edge(min).reverse()])
    context.fill()
    context.globalAlpha = 1
    trace(edge(median))
    context.stroke()
  }
}
