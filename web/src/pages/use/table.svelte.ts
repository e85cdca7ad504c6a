import type { Group, UseTableVariables, Whole } from '../../api/use.ts'
import { readTable, variables, type Kind, type TableState } from './loader.ts'

export interface TableApi {
  useTable: (variables: UseTableVariables, signal?: AbortSignal) => Promise<{ groups: Group[]; whole: Whole | null }>
}

export const MAX_CSV_ROWS = 100_000

/** One page of a table of users or projects. What is shown stays until something newer is there. */
export class UseTable {
  state = $state.raw<TableState>(readTable(new URL('http://none/')))
  groups = $state.raw<Group[]>([])
  whole = $state.raw<Whole | null>(null)
  failure = $state('')
  isLoading = $state(false)
  isLoaded = $state(false)
  readonly #api: TableApi
  readonly #kind: Kind
  #asked: AbortController | null = null

  constructor(api: TableApi, kind: Kind) {
    this.#api = api
    this.#kind = kind
  }

  get count(): number {
    return (this.#kind === 'user' ? this.whole?.totalUsers : this.whole?.totalProjects) ?? 0
  }

  async show(state: TableState): Promise<void> {
    this.#asked?.abort()
    const asked = (this.#asked = new AbortController())
    this.state = state
    this.isLoading = true
    try {
      const { groups, whole } = await this.#api.useTable(variables(this.#kind, state), asked.signal)
      if (asked.signal.aborted) return
      this.groups = groups
      this.whole = whole
      this.failure = ''
      this.isLoaded = true
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      if (asked === this.#asked) this.isLoading = false
    }
  }

  /** All rows in the order that is shown; empty after a failure. */
  async all(): Promise<Group[]> {
    try {
      return (await this.#api.useTable(variables(this.#kind, { ...this.state, page: 1, rows: MAX_CSV_ROWS }))).groups
    } catch (e) {
      this.failure = e instanceof Error ? e.message : String(e)
      return []
    }
  }

  close(): void {
    this.#asked?.abort()
  }
}
