/** Who is signed in and what the site is, as the gateway wrote it into the page. Nobody is on the page of a wall screen by link. */

export interface SubCluster {
  name: string
  nodes: number
  processor: string
  cores: number
  accelerators: number
}

export interface Session {
  user: {
    username: string
    name: string
    roles: string[]
    projects: string[]
    scopes: string[]
    allJobs: boolean
    nodes: boolean
    password: boolean
  }
  settings: Record<string, unknown>
  /** How far the log was in the database when the page was made (docs/live.md). */
  cursor: string
  notice: string
  version: string
  site: string
  /** An IANA name; empty: the site has none. */
  timeZone: string
  provider: boolean
  playground: boolean
  /** The titles of the rules of advice, by tag. */
  rules: Record<string, string>
  clusters: { name: string; subClusters: SubCluster[] }[]
}

export type Role = 'user' | 'manager' | 'support' | 'admin' | 'api'

export const session = JSON.parse(document.getElementById('session')?.textContent || 'null') as Session

export const isSignedIn = session.user.username !== ''

export const hasRole = (...roles: Role[]): boolean => roles.some((role) => session.user.roles.includes(role))
