import type { Home, HomeVariables } from '../../api/home.ts'
import type { Change } from '../../live/protocol.ts'
import { patched } from '../jobs/patch.ts'

export interface HomeApi {
  home: (variables: HomeVariables, clusters: string[], signal?: AbortSignal) => Promise<Home>
}

/** After a change that moves jobs between the parts, or that changes numbers. */
export const RELOAD_MS = 5_000

/** The first page. Rows change in place; what a change adds to counts and lists is loaded again, at most every `RELOAD_MS`. */
export class HomeView {
  found = $state.raw<Home | null>(null)
  failure = $state('')
  isLoading = $state(false)
  readonly #api: HomeApi
  readonly #variables: () => HomeVariables
  readonly #clusters: string[]
  #asked: AbortController | null = null
  #later: ReturnType<typeof setTimeout> | undefined

  constructor(api: HomeApi, variables: () => HomeVariables, clusters: string[]) {
    this.#api = api
    this.#variables = variables
    this.#clusters = clusters
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    clearTimeout(this.#later)
    this.#later = undefined
    const asked = (this.#asked = new AbortController())
    this.isLoading = true
    try {
      const found = await this.#api.home(this.#variables(), this.#clusters, asked.signal)
      if (asked.signal.aborted) return
      this.found = found
      this.failure = ''
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      if (asked === this.#asked) this.isLoading = false
    }
  }

  /** `isMine` says whether a job that is not shown counts on this page. */
  changes(changes: Change[], isMine: (user: string, project: string) => boolean): void {
    const found = this.found
    const running = found?.running
    if (!found) return
    let rows = running?.rows ?? []
    let mustLoad = false
    for (const change of changes) {
      if (change.kind === 'node') {
        mustLoad ||= found.nodes.size > 0
        continue
      }
      if (change.kind === 'rejections') continue
      const at = rows.findIndex((row) => row.id === change.id)
      const row = rows[at]
      if (change.kind === 'job_deleted') mustLoad = true
      else if (row) {
        rows = rows.with(at, patched(row, change.job))
        mustLoad ||= change.job.jobState !== 'running'
      } else mustLoad ||= isMine(change.job.user, change.job.project)
    }
    if (running && rows !== running.rows) this.found = { ...found, running: { ...running, rows } }
    if (mustLoad) this.#later ??= setTimeout(() => void this.load(), RELOAD_MS)
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#later)
  }
}
