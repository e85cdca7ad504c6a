import type { Overview, RejectionFilter, ReplayBegun, ReplayFilter } from '../../api/rejections.ts'

export interface ReplayApi {
  rejectionOverview: (filter: RejectionFilter) => Promise<Pick<Overview, 'groups'>>
  replay: (filter: ReplayFilter) => Promise<ReplayBegun>
  replayed: (filter: ReplayFilter, before: string) => Promise<{ waiting: number; refused: number }>
  pause: (ms: number) => Promise<void>
}

/** All refused lines of a code and cluster, or the one message with the sequence `message`. */
export interface ReplayChoice {
  code: string
  cluster?: string
  message?: number
}

export interface Outcome {
  published: number
  took: number
  refused: number
  waiting: number
  expired: number
}

const LOOK_MS = 700
const MAX_LOOKS = 60

/** One replay, from the question to what became of it. */
export class Replay {
  readonly choice: ReplayChoice
  step = $state<'asks' | 'publishes' | 'waits' | 'done'>('asks')
  /** Refused lines whose messages would be published; null until it is known. */
  count = $state<number | null>(null)
  published = $state(0)
  outcome = $state.raw<Outcome | null>(null)
  failure = $state('')
  readonly #api: ReplayApi
  #isClosed = false

  constructor(choice: ReplayChoice, api: ReplayApi) {
    this.choice = choice
    this.#api = api
  }

  /** Counts what the replay covers: the list may show only some of it. */
  async prepare(): Promise<void> {
    const { code, cluster } = this.choice
    try {
      const { groups } = await this.#api.rejectionOverview({ code, ...(cluster === undefined ? {} : { cluster }), since: 0 })
      this.count = groups.reduce((sum, group) => sum + group.replayable, 0)
    } catch (e) {
      this.failure = said(e)
    }
  }

  async run(): Promise<void> {
    this.step = 'publishes'
    this.failure = ''
    const { code, cluster, message } = this.choice
    const filter: ReplayFilter = {
      code,
      ...(cluster === undefined ? {} : { cluster }),
      ...(message === undefined ? {} : { after: message - 1, until: message }),
    }
    try {
      let begun = await this.#api.replay(filter)
      const { before } = begun
      let expired = begun.expired
      this.published = begun.published
      while (begun.hasMore && !this.#isClosed) {
        begun = await this.#api.replay({ ...filter, after: begun.last })
        expired += begun.expired
        this.published += begun.published
      }
      this.step = 'waits'
      await this.#settle({ ...filter, until: begun.last }, before, expired)
    } catch (e) {
      this.failure = said(e)
    } finally {
      this.step = 'done'
    }
  }

  /** Publishing goes on no further than the present request, and nobody waits for the outcome. */
  close(): void {
    this.#isClosed = true
  }

  async #settle(filter: ReplayFilter, before: string, expired: number): Promise<void> {
    let waiting = this.published
    let refused = 0
    let isSettled = this.published === 0
    for (let look = 0; look < MAX_LOOKS && !isSettled && !this.#isClosed; look += 1) {
      const state = await this.#api.replayed(filter, before)
      const left = Math.max(0, state.waiting - expired) // messages that left the intake wait for nothing
      isSettled = waiting === 0 && left === 0 && state.refused === refused // a new refusal may follow the end of the old one
      waiting = left
      refused = state.refused
      if (!isSettled) await this.#api.pause(LOOK_MS)
    }
    this.outcome = { published: this.published, took: Math.max(0, this.published - refused - waiting), refused, waiting, expired }
  }
}

const said = (e: unknown) => (e instanceof Error ? e.message : String(e))
