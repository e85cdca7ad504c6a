/** uPlot, which is loaded with the first plot that comes near the view. */

import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { cursor } from './cursor.ts'
import { lists, times, type Curve } from './curve.ts'
import { options, type Reactions } from './options.ts'
import { onTheme, readPalette } from './palette.ts'
import type { Scene } from './scene.ts'

/** `start`: see Scene. */
export type View = Pick<Scene, 'zoom' | 'start'>

const data = (curve: Curve) => [times(curve), ...lists(curve)] as uPlot.AlignedData

/** A curve drawn into an element, whose size it follows. Plots of a page share cursor and zoom. */
export class Plot {
  readonly #target: HTMLElement
  readonly #react: Reactions
  readonly #scene: Scene
  readonly #resized: ResizeObserver
  readonly #forgetTheme: () => void
  readonly #unfollow: () => void
  #chart: uPlot
  #isPointed = false

  constructor(target: HTMLElement, curve: Curve, view: View, react: Reactions) {
    this.#target = target
    this.#react = react
    const font = `11px ${getComputedStyle(target).fontFamily}`
    this.#scene = { curve, ...view, palette: readPalette(target), font }
    this.#chart = this.#draw()
    this.#resized = new ResizeObserver(() => {
      this.#chart.setSize(this.#size())
    })
    this.#resized.observe(target)
    this.#forgetTheme = onTheme(() => {
      this.#scene.palette = readPalette(target)
      this.#chart.redraw()
    })
    this.#unfollow = cursor.follow((at, source) => {
      if (source !== this) this.#point(at)
    })
    this.#point(cursor.at)
  }

  show(curve: Curve, view: View): void {
    const before = this.#scene.curve
    this.#scene.curve = curve
    Object.assign(this.#scene, view)
    if (curve.lines.length !== before.lines.length || !curve.band !== !before.band) {
      this.#chart.destroy()
      this.#chart = this.#draw()
    } else {
      this.#chart.setData(data(curve)) // also reads the zoom
    }
  }

  destroy(): void {
    this.#resized.disconnect()
    this.#forgetTheme()
    this.#unfollow()
    this.#chart.destroy()
  }

  #draw(): uPlot {
    const chart = new uPlot(options(this.#scene, this.#size(), this.#reactions()), data(this.#scene.curve), this.#target)
    chart.over.addEventListener('pointerenter', () => (this.#isPointed = true))
    chart.over.addEventListener('pointerleave', () => {
      this.#isPointed = false
      cursor.move(null, this)
    })
    return chart
  }

  #reactions(): Reactions {
    const cursorAt = (index: number | null) => {
      this.#react.cursor(index)
      if (this.#isPointed) cursor.move(index === null ? null : index * this.#scene.curve.timestep, this)
    }
    return { zoom: (span) => this.#react.zoom(span), cursor: cursorAt }
  }

  #point(at: number | null): void {
    const left = at === null ? -10 : this.#chart.valToPos(at, 'x')
    const isInside = left >= 0 && left <= this.#chart.over.clientWidth
    this.#chart.setCursor(isInside ? { left, top: 0 } : { left: -10, top: -10 })
  }

  #size() {
    return { width: Math.max(this.#target.clientWidth, 120), height: this.#target.clientHeight }
  }
}
