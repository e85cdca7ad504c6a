import { request } from './graphql.ts'

export interface QueueStatus {
  name: string
  waiting: number
  inWork: number
  /** Seconds; null where it is not known. */
  unreadS: number | null
}

/**
 * `messages` is null if the stream does not exist or the broker is away; `position` and `lag` are null for streams without a reader of ours.
 * `oldest` is in Unix seconds; limits of null are none.
 */
export interface StreamStatus {
  name: string
  lastSequence: number | null
  messages: number | null
  sizeBytes: number | null
  maxBytes: number | null
  refusesWhenFull: boolean
  oldest: number | null
  maxAgeS: number | null
  position: number | null
  lag: number | null
  queues: QueueStatus[]
}

export interface StoreState {
  stream: string
  position: number
  lag: number | null
  samples: number
  samplesPerS: number
  expired: number
  series: number
  memoryBytes: number
  files: number
  fileBytes: number
  clusters: Record<string, { oldest: number | null; newest: number | null }>
}

/** `process` is null for a service of which no process is known. */
export interface ServiceStatus {
  service: string
  process: string | null
  state: 'ready' | 'unready' | 'silent' | 'unheard'
  isCertain: boolean
  ageS: number | null
  started: number | null
  problems: Record<string, string>
}

/** Unix seconds; null without any. */
export interface ClusterStatus {
  name: string
  lastJob: number | null
  lastNodes: number | null
  isSilent: boolean
}

/** `broker` is `ok`, or why it is unavailable. */
export interface SiteStatus {
  broker: string
  streams: StreamStatus[]
  runningJobs: number
  parkedStops: number
  rejections: number
  metricStores: { address: string; error: string | null; state: StoreState | null }[]
  services: ServiceStatus[]
  clusters: ClusterStatus[]
  live: { eventStreams: number; webSockets: number } | null
}

/** Raises ApiError; 503 while the database is away. */
export async function siteStatus(): Promise<SiteStatus> {
  return (await request('frontend/status/')).json() as Promise<SiteStatus>
}
