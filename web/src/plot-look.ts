/** Sizes of plots as the viewer stored them, as custom properties that the plots read. */

import { session } from './session.ts'

export const PLOT_HEIGHT = 'web_plotHeight'
export const PLOTS_PER_ROW = 'plotConfiguration_plotsPerRow' // the key of cc-backend

export function applyPlotLook(): void {
  const { style } = document.documentElement
  const stored = (key: string, least: number, most: number) => {
    const value = Number(session.settings[key])
    return value >= least && value <= most ? value : 0
  }
  const height = stored(PLOT_HEIGHT, 80, 800)
  const perRow = stored(PLOTS_PER_ROW, 1, 12)
  style.setProperty('--plot-height', height ? `${String(height)}px` : '')
  style.setProperty('--plot-width', perRow ? `max(260px, calc(100% / ${String(perRow)} - 10px))` : '')
}
