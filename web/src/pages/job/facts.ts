/** What is said of a job beside its curves, from its row and the metadata of the scheduler. */

import type { Job } from '../../api/jobs.ts'
import { count } from '../../lib/formats/number.ts'

export function metaText(metaData: unknown, key: string): string {
  if (typeof metaData !== 'object' || metaData === null) return ''
  const value = (metaData as Record<string, unknown>)[key]
  return typeof value === 'string' ? value : ''
}

/** The pairs of `Key=value` of `scontrol show job`; empty for a text of another form. */
export function schedulerPairs(text: string): [string, string][] {
  const found = text.split(/\s+(?=[A-Z][\w:/]*=)/).map((part) => /^\s*([A-Z][\w:/]*)=(.*)$/s.exec(part))
  const pairs = found.flatMap((match): [string, string][] => (match?.[1] ? [[match[1], (match[2] ?? '').trim()]] : []))
  return pairs.length === found.length ? pairs : []
}

const MAX_HOSTS = 8

export function hostsText(job: Pick<Job, 'resources'>): string {
  const hosts = job.resources.map((resource) => resource.hostname)
  const more = hosts.length - MAX_HOSTS
  return hosts.slice(0, MAX_HOSTS).join(', ') + (more > 0 ? ` and ${count(more)} more` : '')
}

const SHARED: Record<string, string> = {
  none: 'not shared',
  single_user: 'shared by jobs of one user',
  multi_user: 'shared by jobs of several users',
}
export const sharedText = (shared: string): string => SHARED[shared] ?? shared

const MONITORING = ['not monitored', 'running or archiving', 'archiving failed', 'archived']
export const monitoringText = (status: number): string => MONITORING[status] ?? String(status)
