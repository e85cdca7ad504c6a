/** The running jobs of a cluster. Pure. */

import type { RunningJob } from '../../api/nodes.ts'
import type { JobEvent } from '../../live/protocol.ts'

export function jobsByHost(jobs: RunningJob[]): ReadonlyMap<string, RunningJob[]> {
  const found = new Map<string, RunningJob[]>()
  for (const job of jobs)
    for (const host of job.hosts) {
      const there = found.get(host)
      if (there) there.push(job)
      else found.set(host, [job])
    }
  return found
}

/** After a change of a job; the jobs with the most nodes stay first. */
export function withJob(jobs: RunningJob[], event: JobEvent): RunningJob[] {
  const id = String(event.id)
  const at = jobs.findIndex((job) => job.id === id)
  if (event.jobState !== 'running') return at < 0 ? jobs : jobs.toSpliced(at, 1)
  if (at >= 0) return jobs
  const { jobId, user, startTime, resources = [] } = event
  const hosts = resources.map(({ hostname }) => hostname)
  const job = { id, jobId, jobName: null, user, startTime: new Date(startTime * 1000).toISOString(), hosts }
  const before = jobs.findIndex((other) => other.hosts.length < hosts.length)
  return jobs.toSpliced(before < 0 ? jobs.length : before, 0, job)
}
