import type { JobListVariables, JobRow } from '../../api/jobs.ts'
import type { Change } from '../../live/protocol.ts'
import { fits, isDecidable } from './filters-as-query.ts'
import { isNewestFirst, readList, variables, type ListState } from './loader.ts'
import { patched } from './patch.ts'

export interface ListApi {
  jobList: (variables: JobListVariables, signal?: AbortSignal) => Promise<{ rows: JobRow[]; count: number }>
  jobCount: (filter: JobListVariables['filter'], signal?: AbortSignal) => Promise<number>
}

const RECOUNT_MS = 10_000
const FOLLOW_MS = 2000
const MAX_MEANWHILE = 2000 // beyond it the rows are asked again
export const MAX_NEWER = 1000 // counted; a list that is open all day would count millions

/** The rows of one page of the list. What is shown stays until something newer is there. */
export class JobList {
  state = $state.raw<ListState>(readList(new URL('http://none/')))
  rows = $state.raw<JobRow[]>([])
  deleted = $state.raw<ReadonlySet<string>>(new Set())
  count = $state<number | null>(null)
  /** Jobs that would now stand before the first row, up to MAX_NEWER. */
  newer = $state(0)
  failure = $state('')
  isLoading = $state(false)
  isLoaded = $state(false)
  #shown = $state('')
  /** What is shown was asked for before, with another filter, order or page. */
  readonly isOutdated = $derived(this.rows.length > 0 && this.#shown !== question(this.state))
  readonly #api: ListApi
  readonly #seen = new Set<string>()
  /** Changes since the request that is under way, whose answer may be older than they are. */
  readonly #meanwhile = new Map<string, Change>()
  #asked: AbortController | null = null
  #again = false
  #recount: ReturnType<typeof setTimeout> | undefined
  #follow: ReturnType<typeof setTimeout> | undefined

  constructor(api: ListApi) {
    this.#api = api
  }

  /** Asks only if other rows are wanted. */
  async show(state: ListState): Promise<void> {
    this.state = state
    const isThere = question(state) === this.#shown && !this.failure && !this.isLoading
    if (!isThere || (state.follow && this.newer)) await this.load()
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    const asked = (this.#asked = new AbortController())
    this.isLoading = true
    this.#meanwhile.clear()
    const asking = question(this.state)
    try {
      const { rows, count } = await this.#api.jobList(variables(this.state), asked.signal)
      if (asked.signal.aborted) return
      this.rows = rows
      this.#shown = asking
      this.count = count
      this.newer = 0
      this.deleted = new Set()
      this.#seen.clear()
      for (const row of rows) this.#seen.add(row.id)
      this.failure = ''
      this.isLoaded = true
      this.#take([...this.#meanwhile.values()])
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      if (asked === this.#asked) this.isLoading = false
      if (asked === this.#asked && this.#again) {
        this.#again = false
        void this.load()
      }
    }
  }

  /** Load what is shown again, after a request that is under way: its answer may be older. */
  async reload(): Promise<void> {
    if (!this.isLoading) return this.load()
    this.#again = true
  }

  /** Rows on the page change in place; new jobs are counted. */
  changes(changes: Change[]): void {
    if (this.isLoading) for (const change of changes) this.#meanwhile.set(change.id, change)
    if (this.#meanwhile.size > MAX_MEANWHILE) {
      this.#meanwhile.clear()
      this.#again = true
    }
    this.#take(changes)
  }

  #take(changes: Change[]): void {
    let isOther = false
    for (const change of changes) {
      const at = this.rows.findIndex((row) => row.id === change.id)
      const row = this.rows[at]
      if (change.kind === 'job_deleted' && row) this.deleted = new Set([...this.deleted, change.id])
      if (change.kind === 'job_deleted') isOther = true
      if (change.kind !== 'job') continue
      if (row) this.rows = this.rows.with(at, patched(row, change.job))
      else isOther = fits(this.state.filters, change.job) || isOther
      if (this.newer >= MAX_NEWER) continue
      if (!row && this.#isNewer(change.job.startTime) && fits(this.state.filters, change.job) && !this.#seen.has(change.id)) {
        this.#seen.add(change.id)
        this.newer += 1
      }
    }
    if (this.newer && this.state.follow) this.#followSoon()
    else if (isOther) this.#countSoon()
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#recount)
    clearTimeout(this.#follow)
  }

  #isNewer(startTime: number): boolean {
    if (!isNewestFirst(this.state) || !this.isLoaded || !isDecidable(this.state.filters)) return false
    const first = this.rows[0]
    return !first || startTime * 1000 >= Date.parse(first.startTime)
  }

  /** The changes lack names and times that rows show, so the rows are asked again. */
  #followSoon(): void {
    this.#follow ??= setTimeout(() => {
      this.#follow = undefined
      if (this.state.follow && this.newer) void this.reload()
    }, FOLLOW_MS)
  }

  #countSoon(): void {
    this.#recount ??= setTimeout(() => {
      this.#recount = undefined
      this.#api.jobCount(variables(this.state).filter).then(
        (count) => {
          this.count = count
        },
        () => undefined, // the next change asks again
      )
    }, RECOUNT_MS)
  }
}

const question = (state: ListState) => JSON.stringify(variables(state))
