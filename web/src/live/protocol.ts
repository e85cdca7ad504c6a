/** What the gateway sends (docs/live.md), and what the worker and the tabs say to each other. */

/** A job as `GET /api/events/` sends it: the names of the REST interface. */
export interface JobEvent {
  id: number
  jobId: number
  cluster: string
  subCluster: string
  project: string
  user: string
  shared: string
  jobState: string
  numNodes: number
  resources?: { hostname: string }[]
  startTime: number
  duration: number
  energy: number
  footprint: Record<string, number> | null
  partition?: string
  walltime?: number
  numAcc?: number
  numHwthreads?: number
  arrayJobId?: number
  monitoringStatus?: number
  tags?: { id: number; type: string; name: string; scope: string }[]
  advice?: { rule: string; severity: string; text: string }[]
}

export interface NodeEvent {
  id: string
  hostname: string
  cluster: string
  subCluster: string
  jobsRunning: number
  cpusAllocated: number | null
  memoryAllocated: number | null
  gpusAllocated: number | null
  schedulerState: string
  healthState: string
}

export type Change =
  | { kind: 'job'; id: string; job: JobEvent }
  | { kind: 'job_deleted'; id: string }
  | { kind: 'node'; id: string; node: NodeEvent }
  | { kind: 'rejections'; id: string; counts: Record<string, number> }

export type Kind = 'job' | 'node' | 'rejection'

/** `lost` is tried again; `ended` is not, until somebody signs in. */
export type Status = 'connecting' | 'live' | 'lost' | 'ended'

/** `other`: somebody else has signed in in this browser. */
export type Said = { type: 'status'; status: Status } | { type: 'changes'; changes: Change[] } | { type: 'reset' } | { type: 'other' }

/** `after`: the cursor of the page. The stream continues there, so what the page asks meanwhile misses no change. */
export type Asked = { type: 'follow'; url: string; kinds: Kind[]; user: string; after: string } | { type: 'restart' } | { type: 'leave' }
