/** Draws cells over two axes on a canvas: as a heat map, or as dots whose area is their weight. */

import { axisMarks, first, last, placeOn, shade, type Cell, type CellAxis, type Roof } from './cells.ts'
import { colourOf } from './cividis.ts'
import type { Palette } from './palette.ts'
import { outlined, prepared } from './pen.ts'

export const MARGIN = { left: 84, right: 24, top: 20, bottom: 36 }
const MAX_DOT_PX = 14
const MIN_DOT_PX = 2
const MARK_GAP_PX = 46
const ROOF_STEPS = 60
const NAME_PX = 14

export interface CellScene {
  x: CellAxis
  y: CellAxis
  cells: readonly Cell[]
  kind: 'heat' | 'dots'
  roofs: readonly Roof[]
  /** The cell that stands out. */
  chosen: Cell | null
  palette: Palette
  font: string
}

export function drawCells(canvas: HTMLCanvasElement, target: HTMLElement, scene: CellScene): void {
  const pen = prepared(canvas, target)
  if (!pen) return
  const width = target.clientWidth - MARGIN.left - MARGIN.right
  const height = target.clientHeight - MARGIN.top - MARGIN.bottom
  const x = (value: number) => MARGIN.left + placeOn(scene.x, value) * width
  const y = (value: number) => MARGIN.top + (1 - placeOn(scene.y, value)) * height
  pen.font = scene.font
  drawAxes(pen, scene, x, y)
  const largest = Math.max(...scene.cells.map(({ weight }) => weight), 0)
  const box = (cell: Cell): [number, number, number, number] => {
    const [left, right] = [x(scene.x.edges[cell.x] ?? 0), x(scene.x.edges[cell.x + 1] ?? 0)]
    const [bottom, top] = [y(scene.y.edges[cell.y] ?? 0), y(scene.y.edges[cell.y + 1] ?? 0)]
    return [left, top, right - left, bottom - top]
  }
  if (scene.kind === 'heat') {
    for (const cell of scene.cells) {
      const [left, top, wide, high] = box(cell)
      pen.fillStyle = `rgb(${colourOf(shade(cell.weight, largest)).join(' ')})`
      pen.fillRect(left, top, Math.max(1, wide + 0.5), Math.max(1, high + 0.5))
    }
  } else {
    pen.strokeStyle = scene.palette.surface
    for (const cell of scene.cells.toSorted((a, b) => b.weight - a.weight)) {
      const [left, top, wide, high] = box(cell)
      pen.beginPath()
      pen.arc(left + wide / 2, top + high / 2, MIN_DOT_PX + MAX_DOT_PX * Math.sqrt(cell.weight / (largest || 1)), 0, 2 * Math.PI)
      pen.globalAlpha = 0.6
      pen.fillStyle = scene.palette.curves[0] ?? scene.palette.accent
      pen.fill()
      pen.globalAlpha = 1
      pen.stroke()
    }
  }
  drawRoofs(pen, scene, x, y, height)
  if (scene.chosen) {
    const [left, top, wide, high] = box(scene.chosen)
    outlined(pen, left - 2, top - 2, wide + 4, high + 4)
  }
}

type Scale = (value: number) => number

function drawRoofs(pen: CanvasRenderingContext2D, { x: axis, y: rates, roofs, palette }: CellScene, x: Scale, y: Scale, height: number) {
  pen.save()
  pen.beginPath()
  pen.rect(MARGIN.left, MARGIN.top, x(last(axis)) - MARGIN.left, height)
  pen.clip()
  pen.lineWidth = 1.5
  pen.textBaseline = 'top'
  pen.textAlign = 'right'
  roofs.forEach(({ name, peak, bandwidth }, index) => {
    pen.strokeStyle = pen.fillStyle = palette.curves[(index + 1) % palette.curves.length] ?? palette.ink
    pen.setLineDash(index ? [6, 3] : [])
    pen.beginPath()
    const [from, to] = [first(axis), last(axis)]
    for (let step = 0; step <= ROOF_STEPS; step++) {
      const intensity = from * (to / from) ** (step / ROOF_STEPS)
      pen.lineTo(x(intensity), y(Math.max(first(rates), Math.min(peak, bandwidth ? intensity * bandwidth : peak))))
    }
    pen.stroke()
    pen.fillText(name, x(to) - 4, y(peak) + 4 + NAME_PX * index)
  })
  pen.restore()
}

function drawAxes(pen: CanvasRenderingContext2D, { x: across, y: up, palette }: CellScene, x: Scale, y: Scale): void {
  const [left, right, top, bottom] = [x(first(across)), x(last(across)), y(last(up)), y(first(up))]
  pen.fillStyle = palette.ink
  pen.strokeStyle = palette.grid
  pen.lineWidth = 1
  pen.beginPath()
  pen.textAlign = 'center'
  pen.textBaseline = 'top'
  let free = -Infinity
  for (const mark of axisMarks(across)) {
    pen.moveTo(x(mark), bottom)
    pen.lineTo(x(mark), top)
    if (x(mark) < free) continue
    pen.fillText(across.show(mark), x(mark), bottom + 4)
    free = x(mark) + MARK_GAP_PX
  }
  pen.textAlign = 'right'
  pen.textBaseline = 'middle'
  for (const mark of axisMarks(up)) {
    pen.moveTo(left, y(mark))
    pen.lineTo(right, y(mark))
    pen.fillText(up.show(mark), left - 6, y(mark))
  }
  pen.stroke()
  pen.textBaseline = 'bottom'
  pen.fillText(across.label, right, bottom + MARGIN.bottom)
  pen.textAlign = 'left'
  pen.fillText(up.label, 4, top - 5)
}
