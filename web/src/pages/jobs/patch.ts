import type { JobRow } from '../../api/jobs.ts'
import type { JobEvent } from '../../live/protocol.ts'

/** A row after a change of its job. */
export function patched(row: JobRow, job: JobEvent): JobRow {
  return {
    ...row,
    state: job.jobState,
    duration: job.duration,
    walltime: job.walltime ?? 0,
    numNodes: job.numNodes,
    numHWThreads: job.numHwthreads ?? 0,
    numAcc: job.numAcc ?? 0,
    energy: job.energy,
    shared: job.shared,
    monitoringStatus: job.monitoringStatus ?? 0,
    footprint: Object.entries(job.footprint ?? {}).map(([key, value]) => ({ ...keyParts(key), value })),
    tags: (job.tags ?? []).map((tag) => ({ ...tag, id: String(tag.id) })),
    advice: job.advice ?? [],
  }
}

/** `mem_used_max` is the maximum of mem_used. */
export function keyParts(key: string): { name: string; stat: string } {
  const cut = key.lastIndexOf('_')
  return { name: key.slice(0, cut), stat: key.slice(cut + 1) }
}
