/** What the options and the marks of a plot have in common. */

import type { Curve, Span } from './curve.ts'
import type { Palette } from './palette.ts'
import type { AxisStart } from './time-axis.ts'

/** What a drawn plot looks at each time it draws. */
export interface Scene {
  curve: Curve
  zoom: Span | null
  start: AxisStart
  palette: Palette
  font: string
}
