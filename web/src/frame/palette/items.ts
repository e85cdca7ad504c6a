/** What the palette offers for a text. Pure. */

import type { Found, SearchVariables } from '../../api/search.ts'
import type { IconName } from '../../components/Icon.svelte'
import { count } from '../../lib/formats/number.ts'
import * as texts from '../../texts/en.ts'

export interface Item {
  id: string
  label: string
  detail?: string
  icon: IconName
  /** A page, relative to the base path, or something to do. */
  to?: string
  run?: () => void
}

export interface Group {
  label: string
  items: Item[]
}

/** The id of an item's element. */
export const optionId = ({ id }: Item): string => `option-${id.replaceAll(/[^\w-]/g, (c) => `_${String(c.codePointAt(0))}`)}`

const MAX_NODES = 6
const MIN_NODE_LETTERS = 3 // fewer would fit to most nodes of a site
const search = (values: Record<string, string>) => `monitoring/jobs/?${new URLSearchParams(values).toString()}`
const isNumber = (text: string) => /^\d{1,18}$/.test(text)

/** Null if there is nothing to ask. Names of jobs are looked for in those of the last month. */
export function wanted(typed: string, seesNodes: boolean): SearchVariables | null {
  const text = typed.trim()
  if (isNumber(text)) return { jobs: [{ jobId: { eq: text } }], withPeople: false, withNodes: false }
  if (text.length < 2) return null
  return {
    jobs: [{ jobName: { contains: text }, startTime: { range: 'last30d' } }],
    users: [{ user: { contains: text } }],
    projects: [{ project: { contains: text } }],
    nodes: [{ hostname: { startsWith: text } }],
    withPeople: true,
    withNodes: seesNodes && text.length >= MIN_NODE_LETTERS,
  }
}

export function groups(typed: string, commands: Group[], found: Found | null): Group[] {
  const text = typed.trim()
  const words = text.toLowerCase().split(/\s+/)
  const fits = ({ label }: Item) => words.every((word) => ` ${label.toLowerCase()}`.includes(` ${word}`))
  const known = commands.map((group) => ({ ...group, items: group.items.filter(fits) }))
  const all = text ? [...known, ...(found ? foundGroups(found) : []), { label: texts.palette.list, items: [inList(text)] }] : known
  return all.filter(({ items }) => items.length)
}

const inList = (text: string): Item =>
  isNumber(text)
    ? { id: 'list', label: texts.palette.withNumber(text), icon: 'search', to: search({ jobId: text }) }
    : { id: 'list', label: texts.palette.withName(text), icon: 'search', to: search({ jobName: text }) }

function foundGroups({ jobs, users, projects, nodes }: Found): Group[] {
  const palette = texts.palette
  return [
    {
      label: palette.jobs,
      items: jobs.items.map((job) => ({
        id: `job ${String(job.id)}`,
        label: `${String(job.jobId)} ${job.jobName ?? ''}`,
        detail: `${job.state.replaceAll('_', ' ')} · ${job.user} · ${job.cluster}`,
        icon: 'tide',
        to: `monitoring/job/${String(job.id)}`,
      })),
    },
    {
      label: palette.users,
      items: (users ?? []).map(({ id, name, totalJobs }) => ({
        id: `user ${id}`,
        label: id,
        detail: [name === id ? '' : name, palette.jobCount(count(totalJobs), totalJobs)].filter(Boolean).join(' · '),
        icon: 'person',
        to: search({ user: id, userMatch: 'eq' }),
      })),
    },
    {
      label: palette.projects,
      items: (projects ?? []).map(({ id, totalJobs }) => ({
        id: `project ${id}`,
        label: id,
        detail: palette.jobCount(count(totalJobs), totalJobs),
        icon: 'columns',
        to: search({ project: id }),
      })),
    },
    {
      label: palette.nodes,
      items: (nodes?.items ?? []).slice(0, MAX_NODES).map(({ hostname, cluster, subCluster }) => ({
        id: `node ${cluster} ${hostname}`,
        label: hostname,
        detail: `${cluster} · ${subCluster}`,
        icon: 'node',
        to: search({ cluster, node: hostname }),
      })),
    },
  ]
}
