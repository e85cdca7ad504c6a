import { query } from './graphql.ts'
import { tags } from './tags.ts'
import type { JobFilter } from './types.ts'

/** A rule of advice, by its tag, and the number of jobs for which it holds. */
export interface AdviceCount {
  id: string
  rule: string
  jobs: number
}

const AT_ONCE = 40

/** Of the rules that hold for jobs of the filter, the most frequent first. Raises ApiError. */
export async function adviceCounts(filter: JobFilter[], signal: AbortSignal): Promise<AdviceCount[]> {
  const rules = (await tags()).filter(({ id, type, scope }) => type === 'jobClass' && scope === 'global' && /^\d+$/.test(id))
  const found: AdviceCount[] = []
  for (let at = 0; at < rules.length; at += AT_ONCE) {
    const part = rules.slice(at, at + AT_ONCE)
    const declared = part.map(({ id }) => `$t${id}: [JobFilter!]`).join(', ')
    const fields = part.map(({ id }) => `t${id}: jobs(filter: $t${id}, page: { itemsPerPage: 1, page: 1 }) { count }`).join(' ')
    const variables = Object.fromEntries(part.map(({ id }) => [`t${id}`, [...filter, { tags: [id] }]]))
    const counts = await query<Record<string, { count: number | null }>, object>(
      `query AdviceCounts(${declared}) { ${fields} }`,
      variables,
      signal,
    )
    found.push(...part.map(({ id, name }) => ({ id, rule: name, jobs: counts[`t${id}`]?.count ?? 0 })))
  }
  return found.filter(({ jobs }) => jobs > 0).toSorted((a, b) => b.jobs - a.jobs)
}
