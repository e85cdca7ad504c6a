/** What is said of a job in a few words. */

import type { JobRow } from '../../api/jobs.ts'
import { duration } from '../../lib/formats/duration.ts'
import { count } from '../../lib/formats/number.ts'

const some = (number: number, one: string, many: string) => `${count(number)} ${number === 1 ? one : many}`

/** Nodes, hardware threads and accelerators, without those that the job has none of. */
export function resourcesText({ numNodes, numHWThreads, numAcc }: Pick<JobRow, 'numNodes' | 'numHWThreads' | 'numAcc'>): string {
  const parts = [some(numNodes, 'node', 'nodes')]
  if (numHWThreads) parts.push(some(numHWThreads, 'hardware thread', 'hardware threads'))
  if (numAcc) parts.push(some(numAcc, 'accelerator', 'accelerators'))
  return parts.join(', ')
}

/** Empty for a job that did not wait, or of which it is not known. */
export function waitedText({ submitTime, startTime }: Pick<JobRow, 'submitTime' | 'startTime'>): string {
  const waited = submitTime ? Math.floor((Date.parse(startTime) - Date.parse(submitTime)) / 1000) : 0
  return waited > 0 ? `waited ${duration(waited)}` : ''
}
