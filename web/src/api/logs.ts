import { request } from './graphql.ts'

/** `timestamp` in microseconds since 1970, as text; `priority` as syslog has them. */
export interface LogEntry {
  timestamp: string
  priority: number
  message: string
  unit: string
}

export interface LogQuery {
  since: string
  lines: number
  /** The largest priority; null for all. */
  level: number | null
  search: string
}

/** Oldest first. Raises ApiError; 500: this machine has no readable journal. */
export async function logEntries({ since, lines, level, search }: LogQuery, signal?: AbortSignal): Promise<LogEntry[]> {
  const parameters = new URLSearchParams({ since, lines: String(lines), search })
  if (level !== null) parameters.set('level', String(level))
  return (await request(`frontend/logs/?${parameters.toString()}`, signal ? { signal } : {})).json() as Promise<LogEntry[]>
}
