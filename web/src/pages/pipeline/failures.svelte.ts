import type { ArchivingFailures } from '../../api/archiving.ts'

export interface FailuresApi {
  archivingFailures: (rows: number) => Promise<ArchivingFailures>
  archiveAgain: (ids: number[]) => Promise<number>
}

export const ROWS = 25

/** Jobs whose archiving failed. What is shown stays until the next answer. */
export class Failures {
  found = $state.raw<ArchivingFailures | null>(null)
  /** Why the latest request was not accepted. */
  failure = $state('')
  /** How many the latest request sent to the archiver again; null before. */
  requested = $state<number | null>(null)
  isBusy = $state(false)
  readonly #api: FailuresApi
  #asked = 0

  constructor(api: FailuresApi) {
    this.#api = api
  }

  /** Without an answer nothing changes: the state of the site, asked at the same time, says that the gateway is away. */
  async look(): Promise<void> {
    const asked = (this.#asked += 1)
    const found = await this.#api.archivingFailures(ROWS).catch(() => null)
    if (found && asked === this.#asked) this.found = found
  }

  /** One request at a time. */
  async retry(ids: number[]): Promise<void> {
    if (this.isBusy || !ids.length) return
    this.isBusy = true
    this.requested = null
    this.failure = ''
    try {
      this.requested = await this.#api.archiveAgain(ids)
      await this.look()
    } catch (e) {
      this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      this.isBusy = false
    }
  }
}
