import type uPlot from 'uplot'
import { scaled, tick } from '../lib/formats/number.ts'
import { colourOfLine, valueRange, type Span } from './curve.ts'
import type { Scene } from './scene.ts'
import { RIGHT_PX, VALUES_PX } from './sizes.ts'
import { drawThresholds } from './thresholds.ts'
import { stepsOf, timeMark, timeMarks } from './time-axis.ts'

export interface Reactions {
  /** Part of the time axis was chosen, or null: all of it. */
  zoom: (span: Span | null) => void
  /** The sample below the cursor, null without one. */
  cursor: (index: number | null) => void
}

const FEW = 3 // samples, which a line alone would hardly show
const DASHES = [[], [6, 3]] // a second mark besides the colour
export const dashOf = (line: number): number[] => DASHES[Math.floor(line / 4) % 2] ?? []

export function options(scene: Scene, size: { width: number; height: number }, react: Reactions): uPlot.Options {
  const axis = { stroke: () => scene.palette.ink, font: scene.font, ticks: { show: false } }
  const grid = { stroke: () => scene.palette.grid, width: 1 }
  return {
    ...size,
    padding: [8, RIGHT_PX, 0, 0],
    legend: { show: false },
    scales: { x: { time: false, range: (chart) => timeRange(scene, chart) }, y: { range: (_, least, most) => values(scene, least, most) } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 26,
        space: 70,
        incrs: () => stepsOf(scene.start),
        splits: (_, _axis, from, to, step) => timeMarks(from, to, step, scene.start),
        values: (_, at, _axis, _space, step) => at.map((s) => timeMark(s, step, scene.start)),
      },
      {
        ...axis,
        grid,
        size: VALUES_PX,
        space: 34,
        values: (_, at) => {
          const { factor } = scaled(scene.curve.largest, scene.curve.unit)
          return at.map((value) => tick(value * factor))
        },
      },
    ],
    series: [{}, ...series(scene)],
    bands: scene.curve.band ? [{ series: [1, 2], fill: () => faded(curveColour(scene, 0), 24) }] : [],
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { size: 7, width: 1.5, fill: () => scene.palette.surface },
      bind: { dblclick: () => () => (react.zoom(null), null) },
    },
    hooks: {
      drawAxes: [(chart) => drawThresholds(chart, scene)],
      setCursor: [(chart) => react.cursor(chart.cursor.idx ?? null)],
      setSelect: [(chart) => choose(chart, react)],
    },
  }
}

const curveColour = (scene: Scene, line: number) => scene.palette.curves[line % scene.palette.curves.length] ?? scene.palette.ink
const faded = (colour: string, percent: number) => `color-mix(in srgb, ${colour} ${String(percent)}%, transparent)`

function series(scene: Scene): uPlot.Series[] {
  const points = { show: (_: uPlot, _line: number, from: number, to: number) => to - from < FEW, size: 5 }
  const edge = { width: 1, points, stroke: () => faded(curveColour(scene, 0), 45) }
  const band = scene.curve.band ? [edge, edge, { width: 1.75, points, stroke: () => curveColour(scene, 0) }] : []
  const isAlone = scene.curve.lines.length === 1 && !scene.curve.band
  const lines = scene.curve.lines.map((_, line) => {
    const colour = () => curveColour(scene, colourOfLine(scene.curve, line))
    return { width: 1.5, points, dash: dashOf(line), stroke: colour, ...(isAlone ? { fill: () => faded(colour(), 12) } : {}) }
  })
  return [...band, ...lines]
}

function timeRange({ zoom }: Scene, chart: uPlot): [number, number] {
  if (zoom) return [zoom.from, zoom.to]
  const last = chart.data[0].at(-1) ?? 0
  return [0, last || 1]
}

const values = ({ curve }: Scene, least: number, most: number) => valueRange(finite(least), finite(most), curve.thresholds)
const finite = (value: number | null) => (value !== null && Number.isFinite(value) ? value : null)

function choose(chart: uPlot, react: Reactions): void {
  const { left, width } = chart.select
  if (width > 0) chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
  if (width > 2) react.zoom({ from: chart.posToVal(left, 'x'), to: chart.posToVal(left + width, 'x') })
}
