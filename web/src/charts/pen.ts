/** Small things that are drawn on canvases. */

import type { Palette } from './palette.ts'

/** The cleared canvas in the size of `target` and in CSS pixels, for sharp lines on any screen. */
export function prepared(canvas: HTMLCanvasElement, target: HTMLElement): CanvasRenderingContext2D | null {
  const ratio = devicePixelRatio
  canvas.width = Math.round(target.clientWidth * ratio)
  canvas.height = Math.round(target.clientHeight * ratio)
  const pen = canvas.getContext('2d')
  pen?.setTransform(ratio, 0, 0, ratio, 0, 0)
  return pen
}

const HATCH_PX = 6

/** Diagonal lines, which stand for missing values. */
export function hatch(pen: CanvasRenderingContext2D, palette: Palette, left: number, width: number, height: number): void {
  pen.fillStyle = palette.surface
  pen.fillRect(left, 0, width, height)
  pen.strokeStyle = palette.grid
  pen.lineWidth = 1
  pen.beginPath()
  for (let x = left - height; x < left + width; x += HATCH_PX) {
    pen.moveTo(x, height)
    pen.lineTo(x + height, 0)
  }
  pen.stroke()
}

/** A frame that is seen on light and on dark ground. */
export function outlined(pen: CanvasRenderingContext2D, x: number, y: number, width: number, height: number): void {
  pen.strokeStyle = '#fff'
  pen.strokeRect(x, y, width, height)
  pen.strokeStyle = '#000'
  pen.strokeRect(x - 1, y - 1, width + 2, height + 2)
}

/** The end of a text, where the names of nodes differ. */
export function shortened(pen: CanvasRenderingContext2D, text: string, width: number): string {
  if (pen.measureText(text).width <= width) return text
  let start = 1
  while (start < text.length && pen.measureText(`…${text.slice(start)}`).width > width) start++
  return `…${text.slice(start)}`
}
