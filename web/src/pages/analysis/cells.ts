/** From the answer of the gateway to the cells of a chart: their weight, their words, their jobs. Pure. */

import type { Distribution } from '../../api/analysis.ts'
import type { Cell } from '../../charts/cells.ts'
import { count, significant } from '../../lib/formats/number.ts'
import * as texts from '../../texts/en.ts'
import { writeFilters, type Filters } from '../jobs/filters.ts'
import type { Weight } from './loader.ts'
import type { Quantity } from './quantities.ts'

type Found = Distribution['cells'][number]

/** The values of a bin in words. */
function between(of: Quantity, edges: readonly number[], bin: number): string {
  const [from, to] = range(of, edges, bin)
  return from === to ? of.show(from) : `${of.show(from)} – ${of.show(to)}`
}

/** Both ends belong to it, as they do in filters. */
function range({ isWhole }: Quantity, edges: readonly number[], bin: number): [number, number] {
  const [from, to] = [edges[bin] ?? 0, edges[bin + 1] ?? 0]
  return isWhole && bin + 2 < edges.length ? [from, to - 1] : [from, to]
}

const used = (cell: Found, weight: Weight) => (weight === 'jobs' ? '' : `, ${significant(cell[weight])} ${texts.analysis.weights[weight]}`)

/** `filters` are those of the analysis, with its cluster. Without a second quantity the cells are bars. */
export function cellsOf(found: Distribution, weight: Weight, filters: Filters, x: Quantity, y?: Quantity): Cell[] {
  const edges = (axis: readonly number[], of: Quantity, bin: number, kept: Filters) => {
    const [from, to] = range(of, axis, bin)
    return of.filter(kept, { from, to })
  }
  return found.cells.map((cell) => {
    const jobs = texts.analysis.jobs(count(cell.jobs), cell.jobs === 1)
    const places = [`${x.label} ${between(x, found.x, cell.x)}`, ...(y ? [`${y.label} ${between(y, found.y, cell.y)}`] : [])]
    const own = edges(found.x, x, cell.x, filters)
    const all = y ? edges(found.y, y, cell.y, own) : own
    return {
      x: cell.x,
      y: cell.y,
      weight: cell[weight],
      text: `${places.join(', ')}: ${jobs}${used(cell, weight)}`,
      href: `monitoring/jobs/?${writeFilters(all).toString()}`,
    }
  })
}
