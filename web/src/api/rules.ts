import { request } from './graphql.ts'
import { tagCounts, tags } from './tags.ts'

export interface Rule {
  tag: string
  title: string
  severity: string
  file: string
  isShipped: boolean
  replacesShipped: boolean
  whileRunning: boolean
  metrics: string[]
  parameters: Record<string, unknown>
  overrides: { cluster: string; subcluster: string | null; values: Record<string, unknown> }[]
  link: string
}

export interface Rules {
  at: number
  isEnabled: boolean
  folder: string | null
  rules: Rule[]
  refused: string[]
  ignored: string[]
  applications: string[]
}

/** Null before an archiver has recorded them. Raises ApiError. */
export const rulesInUse = async (): Promise<Rules | null> => (await (await request('frontend/rules/')).json()) as Rules | null

export interface Held {
  /** Of the tag, for links. */
  id: string
  jobs: number
}

/** The tags of automatic types, by `type name`, with the number of jobs. Raises ApiError. */
export async function automaticTags(signal: AbortSignal): Promise<ReadonlyMap<string, Held>> {
  const found = (await tags()).filter(({ type, scope }) => ['jobClass', 'app'].includes(type) && scope === 'global')
  const jobs = new Map<string, number>()
  await tagCounts(
    found.map(({ id }) => id),
    (counts) => {
      for (const [id, count] of counts) jobs.set(id, count)
    },
    signal,
  )
  return new Map(found.map(({ id, type, name }) => [`${type} ${name}`, { id, jobs: jobs.get(id) ?? 0 }]))
}
