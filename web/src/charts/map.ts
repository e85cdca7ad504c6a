/** A map of values over time and series, drawn on a canvas, with the rows and the column below the cursor marked on a second one. */

import type { Span } from './curve.ts'
import { onTheme, readPalette, type Palette } from './palette.ts'
import { hatch, outlined, prepared, shortened } from './pen.ts'
import { pixels, sampleAt, wholeSpan, type ColourStart, type Raster } from './raster.ts'
import { RIGHT_PX, VALUES_PX } from './sizes.ts'

const MIN_LABEL_PX = 12

/** What is marked: the row of the pointer or keyboard, the time of all plots, a part of the time axis, and the rows with a line above. */
export interface Marks {
  row: number | null
  at: number | null
  span: Span | null
  picked: readonly number[]
}

export class TimeMap {
  readonly #target: HTMLElement
  readonly #base = document.createElement('canvas')
  readonly #over = document.createElement('canvas')
  readonly #font: string
  readonly #resized: ResizeObserver
  readonly #forgetTheme: () => void
  #palette: Palette
  #raster: Raster
  #start: ColourStart
  #image: HTMLCanvasElement
  #zoom: Span | null
  #marks: Marks = { row: null, at: null, span: null, picked: [] }

  constructor(target: HTMLElement, raster: Raster, start: ColourStart, zoom: Span | null) {
    this.#target = target
    this.#raster = raster
    this.#start = start
    this.#image = imageOf(raster, start)
    this.#zoom = zoom
    this.#font = `11px ${getComputedStyle(target).fontFamily}`
    this.#palette = readPalette(target)
    target.append(this.#base, this.#over)
    const draw = () => {
      this.#draw()
    }
    this.#resized = new ResizeObserver(draw)
    this.#resized.observe(target)
    this.#forgetTheme = onTheme(() => {
      this.#palette = readPalette(target)
      draw()
    })
  }

  show(raster: Raster, start: ColourStart, zoom: Span | null): void {
    if (raster !== this.#raster || start !== this.#start) this.#image = imageOf(raster, start)
    ;[this.#raster, this.#start, this.#zoom] = [raster, start, zoom]
    this.#draw()
  }

  mark(marks: Marks): void {
    this.#marks = marks
    this.#drawMarks()
  }

  /** The row and the time at a place of the target, in CSS pixels. */
  place(x: number, y: number): { row: number; at: number } {
    const { from, to } = this.#span()
    const [{ width, height }, rows] = [this.#size(), this.#raster.labels.length]
    const row = Math.min(rows - 1, Math.max(0, Math.floor((y / height) * rows)))
    return { row, at: Math.min(to, Math.max(from, from + ((x - VALUES_PX) / width) * (to - from))) }
  }

  destroy(): void {
    this.#resized.disconnect()
    this.#forgetTheme()
    this.#base.remove()
    this.#over.remove()
  }

  #span = (): Span => this.#zoom ?? wholeSpan(this.#raster.samples, this.#raster.timestep)

  /** Of the field without labels. */
  #size() {
    return { width: Math.max(1, this.#target.clientWidth - VALUES_PX - RIGHT_PX), height: this.#target.clientHeight }
  }

  #x(at: number): number {
    const { from, to } = this.#span()
    return VALUES_PX + ((at - from) / (to - from)) * this.#size().width
  }

  #draw(): void {
    const { width, height } = this.#size()
    const pen = prepared(this.#base, this.#target)
    if (!pen) return
    const { samples, timestep, labels } = this.#raster
    pen.save()
    pen.beginPath()
    pen.rect(VALUES_PX, 0, width, height)
    pen.clip()
    hatch(pen, this.#palette, VALUES_PX, width, height)
    pen.imageSmoothingEnabled = false
    // A sample stands in the middle of its cell, as its point in a plot.
    const [left, right] = [this.#x(-timestep / 2), this.#x((samples - 0.5) * timestep)]
    if (samples && labels.length) pen.drawImage(this.#image, left, 0, right - left, height)
    pen.restore()
    this.#drawLabels(pen)
    this.#drawMarks()
  }

  #drawLabels(pen: CanvasRenderingContext2D): void {
    const { labels } = this.#raster
    const rowPx = this.#size().height / Math.max(1, labels.length)
    const every = Math.max(1, Math.ceil(MIN_LABEL_PX / rowPx))
    pen.font = this.#font
    pen.fillStyle = this.#palette.ink
    pen.textAlign = 'right'
    pen.textBaseline = 'middle'
    for (let row = 0; row < labels.length; row += every)
      pen.fillText(shortened(pen, labels[row] ?? '', VALUES_PX - 8), VALUES_PX - 6, Math.max(6, (row + 0.5) * rowPx))
  }

  #drawMarks(): void {
    const { width, height } = this.#size()
    const pen = prepared(this.#over, this.#target)
    if (!pen) return
    const { row, at, span, picked } = this.#marks
    const rowPx = height / Math.max(1, this.#raster.labels.length)
    pen.fillStyle = this.#palette.accent
    for (const one of picked) pen.fillRect(VALUES_PX - 4, one * rowPx, 3, Math.max(2, rowPx))
    pen.beginPath()
    pen.rect(VALUES_PX, 0, width, height)
    pen.clip()
    pen.lineWidth = 1
    if (row !== null) outlined(pen, VALUES_PX - 1, row * rowPx, width + 2, rowPx)
    if (at !== null && sampleAt(this.#raster, at) !== null) outlined(pen, this.#x(at) - 0.5, -2, 1, height + 4)
    if (span) {
      pen.globalAlpha = 0.35
      pen.fillStyle = this.#palette.surface
      pen.fillRect(this.#x(span.from), 0, this.#x(span.to) - this.#x(span.from), height)
    }
  }
}

function imageOf(raster: Raster, start: ColourStart): HTMLCanvasElement {
  const image = document.createElement('canvas')
  image.width = Math.max(1, raster.samples)
  image.height = Math.max(1, raster.labels.length)
  if (raster.values.length) image.getContext('2d')?.putImageData(new ImageData(pixels(raster, start), raster.samples), 0, 0)
  return image
}
