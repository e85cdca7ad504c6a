/** Small plots of lists, each on a canvas, which are drawn while they are near the view, a few in a frame. */

import { whenNear } from './near.ts'
import { onTheme, readPalette, type Palette } from './palette.ts'
import { drawSpark, type Spark } from './spark.ts'

const FRAME_MS = 8 // of drawing; the rest waits for the next frame, so that scrolling stays smooth

let palette: Palette | null = null
let isFollowingTheme = false
let frame = 0
const due = new Set<Sparkline>()
const near = new Set<Sparkline>()
const ofCanvas = new WeakMap<Element, Sparkline>()
let sizes: ResizeObserver | undefined

/** Takes sizes from the observer: asking the element would make the browser lay out the page for each plot. */
const observer = () =>
  (sizes ??= new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) ofCanvas.get(target)?.resize(contentRect.width, contentRect.height)
  }))

function soon(one: Sparkline): void {
  due.add(one)
  frame ||= requestAnimationFrame(drawDue)
}

function drawDue(): void {
  frame = 0
  const end = performance.now() + FRAME_MS
  for (const one of due) {
    due.delete(one)
    one.draw()
    if (performance.now() > end) break
  }
  if (due.size) frame = requestAnimationFrame(drawDue)
}

function followTheme(): void {
  if (isFollowingTheme) return
  isFollowingTheme = true
  onTheme(() => {
    palette = null
    near.forEach(soon)
  })
}

export class Sparkline {
  readonly #canvas: HTMLCanvasElement
  readonly #stop: () => void
  #spark: Spark | null = null
  #width = 0
  #height = 0

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas
    ofCanvas.set(canvas, this)
    followTheme()
    this.#stop = whenNear(canvas, (isNear) => {
      if (isNear) this.#enter()
      else this.#leave()
    })
  }

  show(spark: Spark): void {
    this.#spark = spark
    if (near.has(this)) soon(this)
  }

  resize(width: number, height: number): void {
    this.#width = width
    this.#height = height
    soon(this)
  }

  close(): void {
    this.#stop()
    this.#leave()
  }

  draw(): void {
    const context = this.#canvas.getContext('2d')
    if (!context || !this.#spark || !this.#width) return
    palette ??= readPalette(document.body)
    const ratio = devicePixelRatio
    this.#canvas.width = Math.round(this.#width * ratio)
    this.#canvas.height = Math.round(this.#height * ratio)
    context.scale(ratio, ratio)
    drawSpark(context, { width: this.#width, height: this.#height }, this.#spark, palette)
  }

  #enter(): void {
    near.add(this)
    observer().observe(this.#canvas) // reports the size at once
  }

  /** Frees the pixels: a list of 200 jobs would hold 1,200 pictures. */
  #leave(): void {
    near.delete(this)
    due.delete(this)
    sizes?.unobserve(this.#canvas)
    this.#canvas.width = 0
  }
}
