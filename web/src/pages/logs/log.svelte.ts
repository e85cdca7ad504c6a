import type { LogEntry, LogQuery } from '../../api/logs.ts'

export interface LogApi {
  logEntries: (query: LogQuery, signal?: AbortSignal) => Promise<LogEntry[]>
}

/** What is shown stays until the next answer is there. */
export class Log {
  /** Newest first. */
  entries = $state.raw<LogEntry[] | null>(null)
  failure = $state('')
  isLoading = $state(false)
  readonly #api: LogApi
  #asked: AbortController | null = null

  constructor(api: LogApi) {
    this.#api = api
  }

  async load(query: LogQuery): Promise<void> {
    this.#asked?.abort()
    const asked = (this.#asked = new AbortController())
    this.isLoading = true
    try {
      const found = await this.#api.logEntries(query, asked.signal)
      if (asked.signal.aborted) return
      this.entries = found.toReversed()
      this.failure = ''
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      if (asked === this.#asked) this.isLoading = false
    }
  }

  close(): void {
    this.#asked?.abort()
  }
}
