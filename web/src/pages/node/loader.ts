/** The address of a node's page. */

import { nodeAddress as plain } from '../nodes/loader.ts'

export const RANGES = { '1h': 3600, '4h': 14_400, '12h': 43_200, '24h': 86_400, '3d': 259_200, '7d': 604_800 } as const
export type Range = keyof typeof RANGES
export const DEFAULT_RANGE: Range = '4h'

export function readRange(url: URL): Range {
  const given = url.searchParams.get('last') ?? ''
  return given in RANGES ? (given as Range) : DEFAULT_RANGE
}

/** Relative to the base path. */
export function nodeAddress(cluster: string, host: string, range: Range = DEFAULT_RANGE): string {
  const path = plain(cluster, host)
  return range === DEFAULT_RANGE ? path : `${path}?last=${range}`
}
