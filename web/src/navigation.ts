import * as texts from './texts/en.ts'
import { hasRole, type Role } from './session.ts'

export interface Entry {
  label: string
  /** Relative to the base path, without a slash at the start. */
  to: string
  roles?: Role[]
}

/** The entries of the bar, by role. A page gets its entry here when it exists. */
const ENTRIES: Entry[] = [
  { label: texts.nav.jobs, to: 'monitoring/jobs/' },
  { label: texts.nav.nodes, to: 'monitoring/systems/', roles: ['admin', 'support'] },
  { label: texts.nav.users, to: 'monitoring/users/?startTime=last30d', roles: ['manager', 'support', 'admin'] },
  { label: texts.nav.projects, to: 'monitoring/projects/?startTime=last30d', roles: ['manager', 'support', 'admin'] },
  { label: texts.nav.reports, to: 'monitoring/reports/' },
  { label: texts.nav.analysis, to: 'monitoring/analysis/' },
  { label: texts.nav.tags, to: 'monitoring/tags/' },
  { label: texts.nav.pipeline, to: 'monitoring/pipeline/', roles: ['admin', 'support'] },
  { label: texts.nav.rejections, to: 'monitoring/rejections/', roles: ['admin', 'support'] },
  { label: texts.nav.logs, to: 'monitoring/logs', roles: ['admin'] },
]

export const entries = (): Entry[] => ENTRIES.filter(({ roles }) => !roles || hasRole(...roles))
