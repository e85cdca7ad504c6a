/** Filters as the fields of the filter panel hold them: texts that may be wrong while they are typed. */

import { parseDuration } from '../../../lib/formats/duration.ts'
import * as texts from '../../../texts/en.ts'
import { parseNumber, RANGES, SPANS, TIMES, type Filters, type Range } from '../filters.ts'
import { localTime, unixTime } from '../zoned.ts'

export const CHOICES = ['cluster', 'subCluster', 'shared', 'schedule'] as const
export const WORDS = ['partition', 'project', 'jobName', 'node'] as const
export const MATCHES = ['userMatch', 'projectMatch', 'nodeMatch', 'jobIdMatch'] as const
export const TAG_LISTS = ['tag', 'tagAll', 'tagNone'] as const

/** `fields` by name; ends of ranges are `numNodes.from` and `numNodes.to`, those of a footprint `stat.mem_used_max.from`. */
export interface Draft {
  fields: Readonly<Record<string, string>>
  states: readonly string[]
  tags: Readonly<Record<(typeof TAG_LISTS)[number], readonly string[]>>
  dbId: readonly string[]
}

/** What is wrong with a field, by its name. */
export type Problems = Record<string, string>

const says = texts.filters

export function toDraft(filters: Filters): Draft {
  const fields: Record<string, string> = {}
  const put = (name: string, { from, to }: Range, show: (value: number) => string = String) => {
    if (from) fields[`${name}.from`] = show(from)
    if (to) fields[`${name}.to`] = show(to)
  }
  for (const key of [...CHOICES, ...WORDS, ...MATCHES]) if (filters[key]) fields[key] = filters[key]
  if (filters.user) fields['user'] = filters.user.join(', ')
  if (filters.jobId) fields['jobId'] = filters.jobId.join(', ')
  if (filters.arrayJobId) fields['arrayJobId'] = String(filters.arrayJobId)
  for (const key of RANGES) if (filters[key]) put(key, filters[key], key === 'duration' ? durationText : String)
  for (const { name, ...range } of filters.stat ?? []) put(`stat.${name}`, range)
  for (const key of TIMES) {
    const span = filters[key]
    if (span && 'range' in span) fields[key] = span.range
    else if (span) {
      fields[key] = 'between'
      put(key, span, localTime)
    }
  }
  return {
    fields,
    states: filters.state ?? [],
    tags: { tag: filters.tag ?? [], tagAll: filters.tagAll ?? [], tagNone: filters.tagNone ?? [] },
    dbId: filters.dbId ?? [],
  }
}

export function fromDraft(draft: Draft): { filters: Filters; problems: Problems } {
  const filters: Filters = {}
  const problems: Problems = {}
  const text = (name: string) => (draft.fields[name] ?? '').trim()
  const range = (name: string, parse: (text: string) => number | null, wrong: string): Range | undefined => {
    const [from, to] = ['from', 'to'].map((end) => {
      const given = text(`${name}.${end}`)
      const value = given ? parse(given) : 0
      if (value === null) problems[`${name}.${end}`] = wrong
      return value ?? NaN
    }) as [number, number]
    if (to && from > to) problems[`${name}.to`] = says.crossed
    return from || to ? { from, to } : undefined
  }
  const list = (name: string) => [...new Set(text(name).split(/[\s,]+/))].filter(Boolean)

  for (const key of [...CHOICES, ...WORDS]) if (text(key)) filters[key] = text(key)
  const users = list('user')
  if (users.length) filters.user = users
  const ids = list('jobId')
  if (ids.length) filters.jobId = ids
  if (ids.some((id) => !/^\d{1,18}$/.test(id))) problems['jobId'] = says.noJobId
  const array = text('arrayJobId')
  if (/^[1-9]\d{0,14}$/.test(array)) filters.arrayJobId = Number(array)
  else if (array) problems['arrayJobId'] = says.noJobId
  const ways: Record<string, string> = {}
  for (const key of MATCHES) if (text(key) && text(key.replace('Match', ''))) ways[key] = text(key)
  Object.assign(filters, ways)

  if (draft.states.length) filters.state = [...draft.states]
  for (const key of TAG_LISTS) if (draft.tags[key].length) filters[key] = [...draft.tags[key]]
  if (draft.dbId.length) filters.dbId = [...draft.dbId]

  for (const key of RANGES) {
    const found =
      key === 'duration'
        ? range(key, parseDuration, says.noDurationField)
        : range(key, key === 'energy' ? parseNumber : wholeNumber, key === 'energy' ? says.noNumber : says.noWholeNumber)
    if (found) filters[key] = found
  }
  const stats = [...new Set(Object.keys(draft.fields).flatMap((name) => /^stat\.(.+)\.(?:from|to)$/.exec(name)?.[1] ?? []))]
    .map((name) => ({ name, range: range(`stat.${name}`, parseNumber, says.noNumber) }))
    .flatMap(({ name, range }) => (range ? [{ name, ...range }] : []))
  if (stats.length) filters.stat = stats
  for (const key of TIMES) {
    const span = text(key)
    if ((SPANS as readonly string[]).includes(span)) filters[key] = { range: span }
    const between = span === 'between' ? range(key, unixTime, says.noTime) : undefined
    if (between) filters[key] = between
  }
  return { filters, problems }
}

const wholeNumber = (text: string) => (/^\d{1,15}$/.test(text) ? Number(text) : null)

/** A duration that `parseDuration` reads back. */
export function durationText(seconds: number): string {
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
  ] as const)
    if (seconds % size === 0) return `${String(seconds / size)}${unit}`
  return `${String(seconds)}s`
}
