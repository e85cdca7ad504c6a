import { request } from './graphql.ts'

/** Input that could not take effect; `time` in Unix seconds. */
export interface Rejection {
  stream: string
  sequence: number
  time: number
  code: string
  field: string | null
  text: string
  subject: string | null
  intakeSequence: number | null
  line: number | null
  jobId: number | null
  cluster: string | null
  excerpt: string
}

export interface Received {
  stream: string
  sequence: number
  subject: string | null
  time: number | null
  bytes: number
  lines: number
  raw: string
  payload: string | null
  isCut: boolean
}

export interface RejectionDetail extends Rejection {
  message: Received | null
  messageMissing: string
  job: number | null
}

export interface RejectionGroup {
  code: string
  cluster: string | null
  count: number
  replayable: number
  newest: number
  bars: number[]
}

export interface Overview {
  count: number
  groups: RejectionGroup[]
  reasons: { code: string; meaning: string; remedy: string; replayHelps: boolean }[]
  since: number
  barSeconds: number
  next: string
}

/** `cluster`: the empty one stands for rejections that name none. */
export interface RejectionFilter {
  code?: string
  cluster?: string
  since?: number
  after?: string
}

/** Which messages are replayed: those of a code, of one cluster if given, up to the sequence `until`. */
export interface ReplayFilter {
  code: string
  cluster?: string
  after?: number
  until?: number
}

export interface ReplayBegun {
  published: number
  expired: number
  last: number
  hasMore: boolean
  before: string
}

const PATH = 'frontend/rejections/'

const parameters = (values: object) =>
  new URLSearchParams(Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))).toString()

async function asked<Answer>(path: string, options: RequestInit = {}): Promise<Answer> {
  return (await request(PATH + path, options)).json() as Promise<Answer>
}

export const rejectionOverview = (filter: RejectionFilter, signal?: AbortSignal): Promise<Overview> =>
  asked(`summary/?${parameters(filter)}`, signal ? { signal } : {})

export async function rejectionList(filter: RejectionFilter, page: number, rows: number, signal?: AbortSignal): Promise<Rejection[]> {
  const text = parameters({ ...filter, page, 'items-per-page': rows })
  return (await asked<{ rejections: Rejection[] }>(`?${text}`, signal ? { signal } : {})).rejections
}

/** Raises ApiError; 404: it was replayed, or has expired. */
export const rejectionDetail = (stream: string, sequence: number): Promise<RejectionDetail> =>
  asked(`${encodeURIComponent(stream)}/${String(sequence)}`)

export const replay = (filter: ReplayFilter): Promise<ReplayBegun> =>
  asked(`replay/?${parameters(filter)}`, { method: 'POST', headers: { 'X-Requested-With': 'jobtide' } })

/** What is dismissed: one rejection, or those of a code and cluster that the answer with the cursor `until` could show. */
export type Dismissal = { place: string } | { code: string; cluster: string; since: number; until: string }

/** Raises ApiError. */
export const dismiss = (what: Dismissal): Promise<{ dismissed: number; hasMore: boolean }> =>
  asked(`dismiss/?${parameters(what)}`, { method: 'POST', headers: { 'X-Requested-With': 'jobtide' } })

export const replayed = (filter: ReplayFilter, before: string): Promise<{ waiting: number; refused: number }> =>
  asked(`replayed/?${parameters({ ...filter, before })}`)
