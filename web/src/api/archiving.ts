import { request } from './graphql.ts'

/** A job whose archiving failed; times in Unix seconds. `reason` is null without an attempt. */
export interface ArchivingFailure {
  id: number
  jobId: number
  cluster: string
  user: string
  startTime: number
  isOverdue: boolean
  reason: string | null
}

export interface ArchivingFailures {
  count: number
  failures: ArchivingFailure[]
}

/** The newest of them, and the number of all. Raises ApiError; 503 while the database is away. */
export async function archivingFailures(rows: number): Promise<ArchivingFailures> {
  return (await request(`frontend/archiving/failures/?items-per-page=${String(rows)}`)).json() as Promise<ArchivingFailures>
}

/** Returns the number of jobs that wait for the archiver again; others had not failed any more. Raises ApiError. */
export async function archiveAgain(ids: number[]): Promise<number> {
  const query = ids.map((id) => `id=${String(id)}`).join('&')
  const answer = await request(`frontend/archiving/retry/?${query}`, { method: 'POST', headers: { 'X-Requested-With': 'jobtide' } })
  return ((await answer.json()) as { requested: number }).requested
}
