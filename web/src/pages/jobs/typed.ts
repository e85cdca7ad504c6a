/** The search field of job lists. */

import type { Tag } from '../../api/tags.ts'
import { parseDuration } from '../../lib/formats/duration.ts'
import * as texts from '../../texts/en.ts'
import { SCHEDULES, SHARINGS, SPANS, STATES, parseNumber } from './filters.ts'
import type { Filters, LISTS, RANGES, TEXTS, TIMES } from './filters.ts'
import { tagsNamed } from './tag-names.ts'
import { typedRange } from './typed-range.ts'
import { typedSpan } from './typed-span.ts'

/** `problem` says what could not be understood; then no filter has changed. */
export interface Typed {
  filters: Filters
  problem: string
}

type Problem = string
type Step = (filters: Filters, value: string) => Filters | Problem

const says = texts.filters

const asText =
  (name: (typeof TEXTS)[number], known?: readonly string[]): Step =>
  (filters, value) =>
    known && !known.includes(value) ? says.unknownValue(name, value, known.join(', ')) : { ...filters, [name]: value }

const asList =
  (name: (typeof LISTS)[number], known?: readonly string[]): Step =>
  (filters, text) => {
    const values = text.split(',').filter(Boolean)
    const other = values.find((value) => known && !known.includes(value))
    if (other !== undefined) return says.unknownValue(name, other, known?.join(', ') ?? '')
    return { ...filters, [name]: [...new Set([...(filters[name] ?? []), ...values])] }
  }

const asRange =
  (name: (typeof RANGES)[number], parse: (text: string) => number | null = parseNumber): Step =>
  (filters, value) => {
    const range = typedRange(value, parse)
    if (range) return { ...filters, [name]: range }
    return name === 'duration' ? says.noDuration(value) : says.noRange(name, value)
  }

const asTime =
  (name: (typeof TIMES)[number]): Step =>
  (filters, value) => {
    const span = typedSpan(value)
    return span ? { ...filters, [name]: span } : says.noSpan(value)
  }

const array: Step = (filters, value) => (/^[1-9]\d{0,14}$/.test(value) ? { ...filters, arrayJobId: Number(value) } : says.noArray(value))

const KEYS: Record<string, Step> = {
  user: asList('user'),
  project: asText('project'),
  name: asText('jobName'),
  job: asList('jobId'),
  state: asList('state', STATES),
  cluster: asText('cluster'),
  subcluster: asText('subCluster'),
  partition: asText('partition'),
  node: asText('node'),
  nodes: asRange('numNodes'),
  threads: asRange('numHWThreads'),
  gpus: asRange('numAccelerators'),
  duration: asRange('duration', parseDuration),
  energy: asRange('energy'),
  started: asTime('startTime'),
  ran: asTime('overlaps'),
  array,
  shared: asText('shared', SHARINGS),
  schedule: asText('schedule', SCHEDULES),
}
/** The keywords of cc-backend's search, and other names of the same. */
const ALIASES: Record<string, string> = {
  username: 'user',
  projectid: 'project',
  jobname: 'name',
  jobid: 'job',
  id: 'job',
  arrayjobid: 'array',
  host: 'node',
  accelerators: 'gpus',
  overlaps: 'ran',
}
const KNOWN = [...Object.keys(KEYS), 'tag'].join(', ')
const FOOTPRINT = /^[\w-]+_(?:avg|min|max)$/

/**
 * Adds what was typed: `user:ana state:failed nodes:2-8 tag:hangs -tag:app:vasp mem_used_max:>100 >2h last7d 123456`. Other words are
 * part of a job's name, and so is everything in quotes that has no key.
 */
export function withTyped(filters: Filters, text: string, tags: Tag[]): Typed {
  let result = filters
  const words: string[] = []
  for (const word of text.match(/(?:"[^"]*"?|[^\s"])+/g) ?? []) {
    const next = step(word, tags)?.(result, '')
    if (typeof next === 'string') return { filters, problem: next }
    if (next) result = next
    else words.push(unquoted(word))
  }
  if (words.length) result = { ...result, jobName: words.join(' ') }
  return { filters: result, problem: '' }
}

const unquoted = (text: string) => text.replaceAll('"', '')

/** What a word does to the filters; nothing for a part of a name. */
function step(word: string, tags: Tag[]): Step | undefined {
  const [, minus = '', given, rest] = /^(-?)([A-Za-z][\w-]*):(.+)$/.exec(word) ?? []
  if (given !== undefined && rest !== undefined) {
    const value = unquoted(rest)
    const key = ALIASES[given.toLowerCase()] ?? given.toLowerCase()
    if (key === 'tag') return (filters) => tagged(filters, minus ? 'tagNone' : 'tag', value, tags)
    const known = KEYS[key]
    if (minus && known) return () => says.notNegated(key)
    if (known) return (filters) => known(filters, value)
    if (FOOTPRINT.test(given)) return (filters) => footprint(filters, given, value)
    if (!given.includes('-')) return () => says.unknownKey(given, KNOWN)
  }
  const limit = /^[<>]/.test(word) ? parseDuration(word.slice(1)) : null
  if (limit !== null)
    return (filters) => {
      const before = filters.duration ?? { from: 0, to: 0 }
      return { ...filters, duration: word.startsWith('>') ? { ...before, from: limit } : { ...before, to: limit } }
    }
  if ((SPANS as readonly string[]).includes(word)) return (filters) => ({ ...filters, startTime: { range: word } })
  if (/^\d+$/.test(word)) return (filters) => asList('jobId')(filters, word)
  return undefined
}

function tagged(filters: Filters, name: 'tag' | 'tagNone', value: string, tags: Tag[]): Filters | Problem {
  const found = tagsNamed(tags, value)
  const kinds = [...new Set(found.map((tag) => `${tag.type}:${tag.name}`))]
  if (!found.length) return says.noTag(value)
  if (kinds.length > 1) return says.severalTags(value, kinds.join(', '))
  return { ...filters, [name]: [...new Set([...(filters[name] ?? []), ...found.map((tag) => tag.id)])] }
}

function footprint(filters: Filters, name: string, value: string): Filters | Problem {
  const range = typedRange(value, parseNumber)
  if (!range) return says.noRange(name, value)
  return { ...filters, stat: [...(filters.stat ?? []).filter((stat) => stat.name !== name), { name, ...range }] }
}
