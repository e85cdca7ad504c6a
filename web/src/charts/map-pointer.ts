/** What a pointer does over a map. */

import type { Span } from './curve.ts'

export interface MapPlace {
  row: number
  at: number
}

export interface MapReactions {
  place: (x: number, y: number) => MapPlace | undefined
  /** The place below the pointer, null outside, and the part of the time axis that is being dragged over. */
  point: (place: MapPlace | null, span: Span | null) => void
  zoom: (span: Span | null) => void
  pick: (row: number) => void
}

const MIN_DRAG_PX = 4

/** Drag zooms, a click picks a row, a double-click shows the whole time. */
export function followPointer(target: HTMLElement, react: MapReactions): void {
  let pressed: { x: number; at: number } | null = null
  let span: Span | null = null
  const place = (event: PointerEvent) => {
    const box = target.getBoundingClientRect()
    return react.place(event.clientX - box.left, event.clientY - box.top)
  }
  target.onpointermove = (event) => {
    const found = place(event)
    if (!found) return
    const isDrag = pressed && Math.abs(event.clientX - pressed.x) >= MIN_DRAG_PX
    span = pressed && isDrag ? { from: Math.min(pressed.at, found.at), to: Math.max(pressed.at, found.at) } : null
    react.point(found, span)
  }
  target.onpointerdown = (event) => {
    const found = place(event)
    if (!found || event.button !== 0) return
    pressed = { x: event.clientX, at: found.at }
    if (event.pointerType === 'mouse') target.setPointerCapture(event.pointerId)
  }
  target.onpointerup = (event) => {
    const found = place(event)
    if (found && pressed) {
      if (span) react.zoom(span)
      else react.pick(found.row)
    }
    span = pressed = null
    react.point(found ?? null, null)
  }
  target.onpointerleave = target.onpointercancel = () => {
    span = pressed = null
    react.point(null, null)
  }
  target.ondblclick = () => {
    react.zoom(null)
  }
}
