import { request } from './graphql.ts'

export const FORMATS = ['csv', 'ndjson', 'parquet'] as const
export type Format = (typeof FORMATS)[number]

/** A file of all jobs of a list. Raises ApiError, also for too many jobs. */
export async function exported(format: Format, parameters: URLSearchParams, signal?: AbortSignal): Promise<Blob> {
  const response = await request(`frontend/export/jobs.${format}?${parameters.toString()}`, signal ? { signal } : {})
  return response.blob()
}
