/** Many jobs at once: histograms and maps of their values. All raise ApiError. */

import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/analysis.graphql?raw'
import type { DistributionQuery, DistributionQueryVariables, RooflineSamplesQuery, RooflineSamplesQueryVariables } from './types.ts'

export type Distribution = DistributionQuery['jobsDistribution']
export type DistributionVariables = DistributionQueryVariables
export type RooflineVariables = RooflineSamplesQueryVariables
export type { DistributionAxis } from './types.ts'

const DISTRIBUTION = only(text, 'Distribution')
const SAMPLES = only(text, 'RooflineSamples')

/** The jobs by one or two of their values. */
export async function distribution(variables: DistributionVariables, signal?: AbortSignal): Promise<Distribution> {
  return (await query<DistributionQuery, DistributionVariables>(DISTRIBUTION, variables, signal)).jobsDistribution
}

/** The samples of few jobs by rate (rows) and intensity (columns); the gateway refuses many jobs. */
export async function rooflineSamples(variables: RooflineVariables, signal?: AbortSignal): Promise<number[][]> {
  return (await query<RooflineSamplesQuery, RooflineVariables>(SAMPLES, variables, signal)).rooflineHeatmap
}
