/** Draws a roofline on a canvas. */

import { tick } from '../lib/formats/number.ts'
import { colourOf } from './cividis.ts'
import type { Palette } from './palette.ts'
import { prepared } from './pen.ts'
import { logMarks, placeOf, roofAt, type Dot, type Plane, type Roofs } from './roofline.ts'

export const MARGIN = { left: 54, right: 10, top: 8, bottom: 34 }
const DOT_PX = 3

export interface RooflineScene {
  dots: readonly Dot[]
  roofs: Roofs
  plane: Plane
  duration: number
  /** Dots of this time are ringed. */
  at: number | null
  /** Being dragged over, as parts of the plane. */
  box: { x: number; y: number; width: number; height: number } | null
  palette: Palette
  font: string
  texts: { intensity: string; rate: string }
}

export function drawRoofline(canvas: HTMLCanvasElement, target: HTMLElement, scene: RooflineScene): void {
  const pen = prepared(canvas, target)
  if (!pen) return
  const width = target.clientWidth - MARGIN.left - MARGIN.right
  const height = target.clientHeight - MARGIN.top - MARGIN.bottom
  const { plane, palette, dots, at } = scene
  const x = (share: number) => MARGIN.left + share * width
  const y = (share: number) => MARGIN.top + (1 - share) * height
  pen.font = scene.font
  drawAxes(pen, scene, x, y)
  pen.save()
  pen.beginPath()
  pen.rect(MARGIN.left, MARGIN.top, width, height)
  pen.clip()
  for (const { at: time, rate, intensity } of dots) {
    const place = placeOf({ rate, intensity }, plane)
    const [red, green, blue] = colourOf(time / Math.max(1, scene.duration))
    pen.fillStyle = `rgb(${String(red)} ${String(green)} ${String(blue)} / 75%)`
    pen.fillRect(x(place.x) - DOT_PX / 2, y(place.y) - DOT_PX / 2, DOT_PX, DOT_PX)
  }
  pen.strokeStyle = palette.ink
  pen.lineWidth = 1
  for (const dot of at === null ? [] : dots.filter((one) => one.at === at)) {
    const place = placeOf(dot, plane)
    pen.beginPath()
    pen.arc(x(place.x), y(place.y), DOT_PX + 1.5, 0, 2 * Math.PI)
    pen.stroke()
  }
  pen.lineWidth = 1.5
  for (const peak of [scene.roofs.simd, scene.roofs.scalar].filter((one) => one > 0)) {
    pen.beginPath()
    const steps = [plane.left, ...(scene.roofs.bandwidth ? [Math.log10(peak / scene.roofs.bandwidth)] : []), plane.right]
    for (const power of steps.toSorted((a, b) => a - b)) {
      const place = placeOf({ intensity: 10 ** power, rate: roofAt(10 ** power, peak, scene.roofs.bandwidth) }, plane)
      pen.lineTo(x(place.x), y(place.y))
    }
    pen.stroke()
  }
  if (scene.box) {
    pen.strokeStyle = palette.accent
    pen.strokeRect(x(scene.box.x), y(scene.box.y + scene.box.height), scene.box.width * width, scene.box.height * height)
  }
  pen.restore()
}

function drawAxes(pen: CanvasRenderingContext2D, scene: RooflineScene, x: (share: number) => number, y: (share: number) => number): void {
  const { plane, palette } = scene
  pen.fillStyle = palette.ink
  pen.strokeStyle = palette.grid
  pen.lineWidth = 1
  pen.beginPath()
  pen.textAlign = 'center'
  pen.textBaseline = 'top'
  for (const intensity of logMarks(plane.left, plane.right)) {
    const at = x(placeOf({ intensity, rate: 1 }, plane).x)
    pen.moveTo(at, y(0))
    pen.lineTo(at, y(1))
    pen.fillText(tick(intensity), at, y(0) + 4)
  }
  pen.textAlign = 'right'
  pen.textBaseline = 'middle'
  for (const rate of logMarks(plane.bottom, plane.top)) {
    const at = y(placeOf({ intensity: 1, rate }, plane).y)
    pen.moveTo(x(0), at)
    pen.lineTo(x(1), at)
    pen.fillText(tick(rate / 1e9), x(0) - 6, at)
  }
  pen.stroke()
  pen.textBaseline = 'bottom'
  pen.fillText(scene.texts.intensity, x(1), y(0) + MARGIN.bottom)
  pen.textAlign = 'left'
  pen.textBaseline = 'top'
  pen.fillText(scene.texts.rate, x(0) + 6, y(1) + 3)
}
