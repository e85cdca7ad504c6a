/** The address of a comparison. */

export type Axis = 'elapsed' | 'share' | 'clock'
export const AXES: Axis[] = ['elapsed', 'share', 'clock']

export interface Comparison {
  /** The first one is the baseline. */
  ids: string[]
  axis: Axis
  onlyDifferent: boolean
}

export const MAX_CURVES = 8 // jobs with a colour of their own
export const MAX_JOBS = 50

export function readComparison(url: URL): Comparison {
  const given = url.searchParams
  const ids = given.getAll('job').filter((id) => /^\d{1,18}$/.test(id))
  return {
    ids: [...new Set(ids)].slice(0, MAX_JOBS),
    axis: AXES.find((axis) => axis === given.get('axis')) ?? 'elapsed',
    onlyDifferent: given.get('rows') === 'different',
  }
}

export function comparisonAddress({ ids, axis, onlyDifferent }: Comparison): string {
  const parameters = new URLSearchParams(ids.map((id) => ['job', id]))
  if (axis !== 'elapsed') parameters.set('axis', axis)
  if (onlyDifferent) parameters.set('rows', 'different')
  return `monitoring/compare/?${parameters.toString()}`
}

/** The letter that names a job beside its colour: A to Z, then AA. */
export function letter(index: number): string {
  const last = String.fromCharCode(65 + (index % 26))
  return index < 26 ? last : letter(Math.floor(index / 26) - 1) + last
}
