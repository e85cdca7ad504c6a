import type { SiteStatus } from '../../api/status.ts'
import { problems } from './problems.ts'

export interface PipelineApi {
  siteStatus: () => Promise<SiteStatus>
}

/** The state of the site. It is no event of the log, so it is asked for as long as somebody looks. */
export class Pipeline {
  status = $state.raw<SiteStatus | null>(null)
  problems = $state.raw<string[]>([])
  /** Unix milliseconds of the last answer. */
  at = $state(0)
  failure = $state('')
  readonly #api: PipelineApi
  readonly #now: () => number
  #isAsking = false

  constructor(api: PipelineApi, now: () => number = Date.now) {
    this.#api = api
    this.#now = now
  }

  /** One request at a time; an answer is compared with the one before. */
  async look(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    try {
      const status = await this.#api.siteStatus()
      this.problems = problems(this.status, status)
      this.status = status
      this.at = this.#now()
      this.failure = ''
    } catch (e) {
      this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      this.#isAsking = false
    }
  }
}
