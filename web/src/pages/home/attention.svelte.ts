import type { jobList, JobFilter, JobRow } from '../../api/jobs.ts'
import type { rulesInUse } from '../../api/rules.ts'
import type { tags } from '../../api/tags.ts'
import { WRONG } from './loader.ts'

export interface AttentionApi {
  jobList: typeof jobList
  rulesInUse: typeof rulesInUse
  tags: typeof tags
}

export interface Listed {
  rows: JobRow[]
  count: number
  /** The parameters of the job list with these jobs. */
  list: string
}

export const AGAIN_MS = 5_000
const ROWS = 6
const DAY_MS = 86_400_000

/** The jobs of everybody that somebody should look at: running ones with warnings or critical advice, and those that failed since yesterday. */
export class Attention {
  advised = $state.raw<Listed | null>(null)
  failed = $state.raw<Listed | null>(null)
  failure = $state('')
  readonly #api: AttentionApi
  readonly #now: () => number
  #asked: AbortController | null = null
  #later: ReturnType<typeof setTimeout> | undefined

  constructor(api: AttentionApi, now: () => number) {
    this.#api = api
    this.#now = now
  }

  async load(): Promise<void> {
    this.close()
    const { signal } = (this.#asked = new AbortController())
    try {
      const ids = await this.#tags()
      const since = new Date(this.#now() - DAY_MS).toISOString()
      const [advised, failed] = await Promise.all([
        this.#some({ state: ['running'], tags: ids }, signal),
        this.#some({ state: WRONG, stopTime: { from: since } }, signal),
      ])
      if (signal.aborted) return
      this.advised = {
        ...advised,
        list: parameters(
          ['running'],
          ids.map((id): [string, string] => ['tag', id]),
        ),
      }
      this.failed = { ...failed, list: parameters(WRONG, [['overlaps', 'last24h']]) } // they ended in it
      this.failure = ''
    } catch (e) {
      if (!signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    }
  }

  /** Jobs have changed: asks again, at most every `AGAIN_MS`. */
  changed(): void {
    this.#later ??= setTimeout(() => void this.load(), AGAIN_MS)
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#later)
    this.#later = undefined
  }

  /** The tags of rules that are more than a hint; of all rules before the archiver has recorded them. */
  async #tags(): Promise<string[]> {
    const [tags, rules] = await Promise.all([this.#api.tags(), this.#api.rulesInUse()])
    const hints = new Set(rules?.rules.filter(({ severity }) => severity === 'info').map(({ tag }) => tag))
    return tags.filter(({ type, name, scope }) => type === 'jobClass' && scope === 'global' && !hints.has(name)).map(({ id }) => id)
  }

  #some(filter: JobFilter, signal: AbortSignal) {
    return this.#api.jobList(
      { filter: [filter], page: { page: 1, itemsPerPage: ROWS }, order: { field: 'startTime', type: 'col', order: 'DESC' } },
      signal,
    )
  }
}

const parameters = (states: string[], others: [string, string][]) =>
  new URLSearchParams([...states.map((state) => ['state', state]), ...others]).toString()
