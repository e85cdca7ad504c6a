/** Jobs as tests of lists need them. */

import type { JobRow } from '../../api/jobs.ts'
import type { JobEvent } from '../../live/protocol.ts'

export const START = Date.parse('2026-11-30T12:00:00Z')

export const event = (id: number, changes: Partial<JobEvent> = {}): JobEvent => ({
  id,
  jobId: 1000 + id,
  cluster: 'fritz',
  subCluster: 'main',
  project: 'p',
  user: 'ana',
  shared: 'none',
  jobState: 'running',
  numNodes: 1,
  startTime: START / 1000 + id,
  duration: 10,
  energy: 0,
  footprint: null,
  ...changes,
})

export const row = (id: number): JobRow => ({
  id: String(id),
  jobId: 1000 + id,
  jobName: null,
  submitTime: null,
  requestedMemory: 0,
  user: 'ana',
  project: 'p',
  cluster: 'fritz',
  subCluster: 'main',
  partition: '',
  state: 'running',
  startTime: new Date(START + id * 1000).toISOString(),
  duration: 1,
  walltime: 60,
  numNodes: 1,
  numHWThreads: 0,
  numAcc: 0,
  energy: 0,
  shared: 'none',
  arrayJobId: 0,
  monitoringStatus: 1,
  tags: [],
  footprint: [],
  advice: [],
})

export const job = (id: number, changes: Partial<JobEvent> = {}) => ({ kind: 'job', id: String(id), job: event(id, changes) }) as const
