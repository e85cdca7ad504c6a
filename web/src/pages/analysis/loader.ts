/** The address of an analysis, with the filters of job lists. */

import { filled, spelled } from '../jobs/default-time.ts'
import { readFilters, writeFilters, type Filters } from '../jobs/filters.ts'
import { columnOf } from '../use/columns.ts'
import { without, type Kind } from '../use/loader.ts'
import { VALUES } from '../reports/loader.ts'

export const WEIGHTS = ['nodeHours', 'coreHours', 'accHours', 'jobs'] as const
export type Weight = (typeof WEIGHTS)[number]

export interface AnalysisState {
  /** Without the cluster, which is a part of the path. */
  filters: Filters
  by: Kind
  /** The key of a column of the tables of users and projects. */
  value: string
  weight: Weight
  /** Keys of quantities; empty: the usual ones. */
  across: string
  upwards: string
  histograms: string[]
  /** The roofline has the samples of jobs instead of their averages. */
  isOfSamples: boolean
}

const SPAN = { range: 'last30d' }
const DEFAULT_VALUE = 'coreHours'
export const MAX_HISTOGRAMS = 12

export function readAnalysis(url: URL): AnalysisState {
  const given = url.searchParams
  const value = given.get('value') ?? ''
  return {
    filters: filled(without(readFilters(given), 'cluster'), SPAN),
    by: given.get('by') === 'project' ? 'project' : 'user',
    value: VALUES.includes(value) ? value : DEFAULT_VALUE,
    weight: WEIGHTS.find((weight) => weight === given.get('weight')) ?? WEIGHTS[0],
    across: given.get('across') ?? '',
    upwards: given.get('upwards') ?? '',
    histograms: [...new Set(given.getAll('histogram'))].slice(0, MAX_HISTOGRAMS),
    isOfSamples: given.get('roofline') === 'samples',
  }
}

/** Relative to the base path. A cluster among the filters is that of the page. */
export function analysisAddress(cluster: string, state: AnalysisState): string {
  const { cluster: other, ...filters } = state.filters
  const parameters = writeFilters(spelled(filters, SPAN))
  if (state.by !== 'user') parameters.set('by', state.by)
  if (state.value !== DEFAULT_VALUE) parameters.set('value', state.value)
  if (state.weight !== WEIGHTS[0]) parameters.set('weight', state.weight)
  if (state.across) parameters.set('across', state.across)
  if (state.upwards) parameters.set('upwards', state.upwards)
  for (const key of state.histograms) parameters.append('histogram', key)
  if (state.isOfSamples) parameters.set('roofline', 'samples')
  const text = parameters.toString()
  return `monitoring/analysis/${encodeURIComponent(other ?? cluster)}${text ? `?${text}` : ''}`
}

export const topVariables = (by: Kind, value: string) => ({
  groupBy: by === 'user' ? ('USER' as const) : ('PROJECT' as const),
  sortBy: columnOf(value).sort ?? ('TOTALJOBS' as const),
  page: { page: 1, itemsPerPage: 10 },
})
