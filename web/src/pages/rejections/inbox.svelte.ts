import { ApiError } from '../../api/graphql.ts'
import type { Dismissal, Overview, Rejection, RejectionDetail, RejectionFilter } from '../../api/rejections.ts'
import type { Change } from '../../live/protocol.ts'
import { asFilter, inboxAddress, keyOf, readInbox, type InboxState } from './loader.ts'

export interface InboxApi {
  rejectionOverview: (filter: RejectionFilter, signal?: AbortSignal) => Promise<Overview>
  rejectionList: (filter: RejectionFilter, page: number, rows: number, signal?: AbortSignal) => Promise<Rejection[]>
  dismiss: (what: Dismissal) => Promise<{ hasMore: boolean }>
  rejectionDetail: (stream: string, sequence: number) => Promise<RejectionDetail>
}

const COUNT_MS = 1000

/** What is shown stays until something newer is there; rejections that came since are counted. */
export class Inbox {
  state = $state.raw<InboxState>(readInbox(new URL('http://none/')))
  overview = $state.raw<Overview | null>(null)
  rows = $state.raw<Rejection[]>([])
  detail = $state.raw<RejectionDetail | null>(null)
  detailFailure = $state('')
  isGone = $state(false)
  newer = $state(0)
  failure = $state('')
  isLoading = $state(false)
  readonly #api: InboxApi
  #list = '' // what was asked last
  #asked: AbortController | null = null
  #count: ReturnType<typeof setTimeout> | undefined

  constructor(api: InboxApi) {
    this.#api = api
  }

  async show(state: InboxState): Promise<void> {
    const wasOpen = this.state.open
    this.state = state
    await Promise.all([listOf(state) === this.#list ? undefined : this.load(), state.open === wasOpen ? undefined : this.#open(state.open)])
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    const asked = (this.#asked = new AbortController())
    this.#list = listOf(this.state)
    this.isLoading = true
    const filter = asFilter(this.state, Date.now())
    try {
      const [overview, rows] = await Promise.all([
        this.#api.rejectionOverview(filter, asked.signal),
        this.#api.rejectionList(filter, this.state.page, this.state.rows, asked.signal),
      ])
      if (asked.signal.aborted) return
      this.overview = overview
      this.rows = rows
      this.newer = 0
      this.failure = ''
    } catch (e) {
      if (asked.signal.aborted) return
      this.#list = ''
      this.failure = said(e)
    } finally {
      if (asked === this.#asked) this.isLoading = false
    }
  }

  changes(changes: Change[]): void {
    if (!this.overview || !changes.some((change) => change.kind === 'rejections')) return
    this.#count ??= setTimeout(() => {
      this.#count = undefined
      void this.#countNewer()
    }, COUNT_MS)
  }

  /** Dismisses in as many requests as it takes, then loads the list again. */
  async dismiss(what: Dismissal): Promise<void> {
    try {
      while ((await this.#api.dismiss(what)).hasMore) continue
      await this.load()
    } catch (e) {
      this.failure = said(e)
    }
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#count)
  }

  async #countNewer(): Promise<void> {
    const after = this.overview?.next ?? ''
    const found = await this.#api.rejectionOverview({ ...asFilter(this.state, Date.now()), after }).catch(() => null)
    if (found && after === this.overview?.next) this.newer = found.count
  }

  async #open(key: string): Promise<void> {
    this.detail = null
    this.detailFailure = ''
    this.isGone = false
    if (!key) return
    const [stream = '', sequence = ''] = key.split('-')
    try {
      const detail = await this.#api.rejectionDetail(stream, Number(sequence))
      if (key === this.state.open && keyOf(detail) === key) this.detail = detail
    } catch (e) {
      if (key !== this.state.open) return
      if (e instanceof ApiError && e.status === 404) this.isGone = true
      else this.detailFailure = said(e)
    }
  }
}

const said = (e: unknown) => (e instanceof Error ? e.message : String(e))

/** The list that a state shows, whatever is open. */
const listOf = (state: InboxState) => inboxAddress({ ...state, open: '' })
