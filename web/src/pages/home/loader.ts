/** What the first page asks for: by role, and by the time of the viewer. */

import type { HomeVariables } from '../../api/home.ts'
import type { JobFilter } from '../../api/jobs.ts'

export const WRONG = ['failed', 'timeout', 'out_of_memory', 'node_fail', 'boot_fail', 'deadline']
export const WRONG_DAYS = 7
export const ROWS = 8
const DAY_MS = 86_400_000

export interface Viewer {
  username: string
  roles: string[]
  projects: string[]
  allJobs: boolean
  nodes: boolean
}

/** Parts of the page. A person who sees all jobs gets the site; one who only reads for a program too. */
export function partsOf({ roles, projects, allJobs, nodes }: Viewer) {
  const mine = roles.includes('user') || roles.includes('manager')
  return { mine, managed: roles.includes('manager') && projects.length > 0, site: allJobs, nodes }
}

export interface Months {
  begin: Date
  beginLast: Date
}

export const monthsOf = (now: Date): Months => ({
  begin: new Date(now.getFullYear(), now.getMonth(), 1),
  beginLast: new Date(now.getFullYear(), now.getMonth() - 1, 1),
})

export function variablesOf(viewer: Viewer, now: Date): HomeVariables {
  const { begin, beginLast } = monthsOf(now)
  const own: JobFilter = { user: { eq: viewer.username } }
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate())
  const month = { from: begin.toISOString() }
  return {
    ...partsOf(viewer),
    running: [{ ...own, state: ['running'] }],
    wrong: [{ ...own, state: WRONG, stopTime: { from: new Date(now.getTime() - WRONG_DAYS * DAY_MS).toISOString() } }],
    done: [{ ...own, state: ['completed'], stopTime: { from: today.toISOString() } }],
    month: [{ ...own, startTime: month }],
    lastMonth: [{ ...own, startTime: { from: beginLast.toISOString(), to: new Date(begin.getTime() - 1000).toISOString() } }],
    projects: [{ project: { in: viewer.projects }, startTime: month }],
    everywhere: [{ state: ['running'] }],
    page: { page: 1, itemsPerPage: ROWS },
    newest: { field: 'startTime', type: 'col', order: 'DESC' },
  }
}
