/** Filters of job lists: the parameters of cc-backend's links, and what they mean. */

export interface Range {
  from: number
  to: number // 0: open
}

export type TimeSpan = { range: string } | Range // Unix seconds

/** Exact values; a job has one of the values of a list, but every tag of `tagAll` and none of `tagNone`. Tags are ids. */
export interface Filters {
  cluster?: string
  subCluster?: string
  partition?: string
  project?: string
  projectMatch?: 'contains'
  jobName?: string
  node?: string
  nodeMatch?: 'contains'
  shared?: string
  schedule?: string
  arrayJobId?: number
  user?: string[]
  userMatch?: 'eq'
  jobId?: string[]
  jobIdMatch?: 'contains'
  state?: string[]
  tag?: string[]
  tagAll?: string[]
  tagNone?: string[]
  dbId?: string[]
  startTime?: TimeSpan
  /** Jobs that ran at some time in it. */
  overlaps?: TimeSpan
  duration?: Range
  numNodes?: Range
  numHWThreads?: Range
  numAccelerators?: Range
  energy?: Range
  stat?: ({ name: string } & Range)[]
}

export const TEXTS = ['cluster', 'subCluster', 'partition', 'project', 'jobName', 'node', 'shared', 'schedule'] as const
export const LISTS = ['user', 'jobId', 'state', 'tag', 'tagAll', 'tagNone', 'dbId'] as const
const IDS: readonly string[] = ['tag', 'tagAll', 'tagNone', 'dbId']
export const TIMES = ['startTime', 'overlaps'] as const
export const RANGES = ['duration', 'numNodes', 'numHWThreads', 'numAccelerators', 'energy'] as const
export const SPANS = ['last6h', 'last24h', 'last7d', 'last30d'] as const
export const STATES = [
  'running',
  'pending',
  'suspended',
  'completed',
  'failed',
  'cancelled',
  'timeout',
  'out_of_memory',
  'node_fail',
  'boot_fail',
  'deadline',
  'preempted',
] as const
export const SHARINGS = ['none', 'single_user', 'multi_user'] as const
export const SCHEDULES = ['batch', 'interactive'] as const

/** How the values of a filter are compared, where that is not the usual way. cc-backend also writes the usual way, and `in`. */
const MATCHES = [
  ['userMatch', 'eq'],
  ['jobIdMatch', 'contains'],
  ['projectMatch', 'contains'],
  ['nodeMatch', 'contains'],
] as const

const NUMBER = String.raw`\d+(?:\.\d+)?(?:e[+-]?\d+)?`
const BETWEEN = new RegExp(`^(${NUMBER})-(${NUMBER})$`)
const ONE_SIDED = new RegExp(`^(lessthan|morethan)-(${NUMBER})$`)
const STAT = new RegExp(`^(.+?)-((?:lessthan|morethan)-${NUMBER}|${NUMBER}-${NUMBER})$`)

/** A number without a sign; null for anything else. */
export const parseNumber = (text: string): number | null => (new RegExp(`^${NUMBER}$`).test(text.trim()) ? Number(text) : null)

/** `A-B`, `lessthan-N`, `morethan-N`; null for anything else. */
export function parseRange(text: string): Range | null {
  const both = BETWEEN.exec(text)
  if (both) return { from: Number(both[1]), to: Number(both[2]) }
  const one = ONE_SIDED.exec(text)
  if (!one) return null
  return one[1] === 'lessthan' ? { from: 0, to: Number(one[2]) } : { from: Number(one[2]), to: 0 }
}

export function formatRange({ from, to }: Range): string {
  if (!to) return `morethan-${String(from)}`
  return from ? `${String(from)}-${String(to)}` : `lessthan-${String(to)}`
}

/** Reads what is understood and passes over the rest, as bookmarks live longer than programs. */
export function readFilters(given: URLSearchParams): Filters {
  const filters: Filters = {}
  for (const key of TEXTS) {
    const value = given.get(key)
    if (value) filters[key] = value
  }
  for (const key of LISTS) {
    const values = given.getAll(key).filter((value) => (IDS.includes(key) ? /^\d+$/.test(value) : value))
    if (values.length) filters[key] = values
  }
  for (const key of RANGES) {
    const range = parseRange(given.get(key) ?? '')
    if (range) filters[key] = range
  }
  const array = Number(given.get('arrayJobId') ?? '')
  if (Number.isInteger(array) && array > 0) filters.arrayJobId = array
  for (const [key, way] of MATCHES) if (given.get(key) === way) Object.assign(filters, { [key]: way })
  if (given.get('userMatch') === 'in') filters.userMatch = 'eq'
  for (const key of TIMES) {
    const span = readSpan(given.get(key) ?? '')
    if (span) filters[key] = span
  }
  const stats = given.getAll('stat').flatMap((text) => {
    const parts = STAT.exec(text)
    const range = parts?.[2] ? parseRange(parts[2]) : null
    return parts?.[1] && range ? [{ name: parts[1], ...range }] : []
  })
  if (stats.length) filters.stat = stats
  return filters
}

function readSpan(text: string): TimeSpan | null {
  if ((SPANS as readonly string[]).includes(text)) return { range: text }
  const both = /^(\d+)-(\d+)$/.exec(text)
  return both ? { from: Number(both[1]), to: Number(both[2]) } : null
}

export function writeFilters(filters: Filters): URLSearchParams {
  const result = new URLSearchParams()
  for (const key of TEXTS) if (filters[key]) result.set(key, filters[key])
  for (const key of LISTS) for (const value of filters[key] ?? []) result.append(key, value)
  for (const key of RANGES) if (filters[key]) result.set(key, formatRange(filters[key]))
  if (filters.arrayJobId) result.set('arrayJobId', String(filters.arrayJobId))
  for (const [key] of MATCHES) if (filters[key]) result.set(key, filters[key])
  for (const key of TIMES) {
    const span = filters[key]
    if (span) result.set(key, 'range' in span ? span.range : `${String(span.from)}-${String(span.to)}`)
  }
  for (const { name, ...range } of filters.stat ?? []) result.append('stat', `${name}-${formatRange(range)}`)
  return result
}
