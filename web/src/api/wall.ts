/** Wall screens by link. All raise ApiError. */

import { request } from './graphql.ts'

export interface WallLink {
  id: string
  cluster: string
  expires: number | null
  /** A path; the token is in its fragment. */
  link: string
}

/** The aggregates of a cluster; times in Unix seconds. */
export interface WallObject {
  cluster: string
  site: string
  version: string
  time: number
  runningJobs: number
  users: number
  subClusters: {
    name: string
    states: Record<string, number>
    coresAllocated: number
    cores: number
    acceleratorsAllocated: number
    accelerators: number
  }[]
  history: { state: string; times: number[]; counts: number[] }[]
  powerKw: number | null
}

/** For admins. The link cannot be read again. */
export async function createWallLink(cluster: string, label: string, isForProgram: boolean): Promise<WallLink> {
  const body = new URLSearchParams({ cluster, label, ...(isForProgram && { program: 'true' }) })
  return (await request('config/walls/', { method: 'POST', body })).json() as Promise<WallLink>
}

const ANSWER_MS = 10_000

/** 401: the link has expired or was revoked. Without an answer in time it raises a TimeoutError. */
export async function wallNumbers(token: string): Promise<WallObject> {
  const signal = AbortSignal.timeout(ANSWER_MS)
  const response = await request('frontend/wall/', { headers: { Authorization: `Bearer ${token}` }, credentials: 'omit', signal })
  return response.json() as Promise<WallObject>
}
