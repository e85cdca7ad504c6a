import type { JobFilter } from '../../../api/jobs.ts'
import { asQuery } from '../filters-as-query.ts'
import type { Filters } from '../filters.ts'
import { fromDraft, toDraft, type Draft, type TAG_LISTS } from './draft.ts'

export interface PanelApi {
  jobCount: (filter: JobFilter[], signal?: AbortSignal) => Promise<number>
}

const TYPING_MS = 300

/** The filters that are being edited, and how many jobs they match. */
export class Panel {
  draft = $state.raw<Draft>(toDraft({}))
  /** Null while it is not known. */
  count = $state<number | null>(null)
  failure = $state('')
  readonly #read = $derived(fromDraft(this.draft))
  readonly filters = $derived(this.#read.filters)
  readonly problems = $derived(this.#read.problems)
  readonly isValid = $derived(!Object.keys(this.#read.problems).length)
  readonly #api: PanelApi
  #asked: AbortController | null = null
  #soon: ReturnType<typeof setTimeout> | undefined

  constructor(api: PanelApi) {
    this.#api = api
  }

  open(filters: Filters): void {
    this.draft = toDraft(filters)
    this.#countIn(0)
  }

  /** Another cluster has other subclusters. */
  set(name: string, value: string): void {
    const fields = { ...this.draft.fields, [name]: value }
    if (name === 'cluster') fields['subCluster'] = ''
    this.#change({ fields })
  }

  toggleState(state: string): void {
    const { states } = this.draft
    this.#change({ states: states.includes(state) ? states.filter((other) => other !== state) : [...states, state] })
  }

  /** Puts a tag into one of the lists, and out of the others; null: out of all. */
  tag(id: string, list: (typeof TAG_LISTS)[number] | null): void {
    const without = (ids: readonly string[]) => ids.filter((other) => other !== id)
    const { tag, tagAll, tagNone } = this.draft.tags
    const tags = { tag: without(tag), tagAll: without(tagAll), tagNone: without(tagNone) }
    this.#change({ tags: list ? { ...tags, [list]: [...tags[list], id] } : tags })
  }

  clear(): void {
    this.draft = toDraft({})
    this.#countIn(0)
  }

  close(): void {
    clearTimeout(this.#soon)
    this.#asked?.abort()
  }

  #change(change: Partial<Draft>): void {
    this.draft = { ...this.draft, ...change }
    this.#countIn(TYPING_MS)
  }

  #countIn(pause: number): void {
    this.close()
    this.count = null
    this.failure = ''
    if (this.isValid) this.#soon = setTimeout(() => void this.#ask(), pause)
  }

  async #ask(): Promise<void> {
    const asked = (this.#asked = new AbortController())
    try {
      const found = await this.#api.jobCount(asQuery(this.filters), asked.signal)
      if (!asked.signal.aborted) this.count = found
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    }
  }
}
