import type uPlot from 'uplot'
import type { Scene } from './scene.ts'

const LABEL_PX = 11

/** Dashed lines across the plot with their names, below the curves. Names of lines close to each other stand side by side. */
export function drawThresholds(chart: uPlot, { curve, palette, font }: Scene): void {
  const { ctx, bbox } = chart
  const ratio = devicePixelRatio
  const top = chart.scales['y']?.max ?? 0
  ctx.save()
  ctx.font = font.replace(/^[\d.]+px/, `${String(10 * ratio)}px`)
  ctx.textAlign = 'right'
  ctx.textBaseline = 'bottom'
  ctx.lineWidth = ratio
  ctx.setLineDash([2 * ratio, 3 * ratio])
  const right = bbox.left + bbox.width
  const drawn = { y: -Infinity, left: right }
  for (const { kind, value } of curve.thresholds.toSorted((a, b) => b.value - a.value)) {
    if (value > top) continue
    const y = Math.round(chart.valToPos(value, 'y', true)) + 0.5
    ctx.strokeStyle = palette[kind]
    ctx.fillStyle = palette[kind]
    ctx.beginPath()
    ctx.moveTo(bbox.left, y)
    ctx.lineTo(right, y)
    ctx.stroke()
    const at = y - drawn.y < LABEL_PX * ratio ? drawn.left - 6 * ratio : right
    ctx.fillText(kind, at, y - ratio)
    drawn.y = y
    drawn.left = at - ctx.measureText(kind).width
  }
  ctx.restore()
}
