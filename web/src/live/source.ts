import type { Change, JobEvent, Kind, NodeEvent, Said } from './protocol.ts'

const FIRST_PAUSE_MS = 1000
const MAX_PAUSE_MS = 30_000
const COLLECT_MS = 100

/** One event stream that comes back by itself. Changes are collected for a tenth of a second; of one job or node only the last one is kept. */
export class Source {
  readonly #emit: (said: Said) => void
  #events: EventSource | null = null
  #url = ''
  #kinds: Kind[] = []
  #lastId = ''
  #pauseMs = FIRST_PAUSE_MS
  #retry: ReturnType<typeof setTimeout> | undefined
  #collected = new Map<string, Change>()
  #flush: ReturnType<typeof setTimeout> | null = null
  status: Extract<Said, { type: 'status' }>['status'] = 'connecting'

  constructor(emit: (said: Said) => void) {
    this.#emit = emit
  }

  /** Follow these kinds, besides those that are followed already. True if this began the stream, which then continues after the cursor `after`. */
  follow(url: string, kinds: Kind[], after: string): boolean {
    const wanted = [...new Set([...this.#kinds, ...kinds])].sort()
    if (this.#events && this.status !== 'ended' && wanted.length === this.#kinds.length) return false
    const begins = !this.#events
    this.#lastId ||= after
    this.#url = url
    this.#kinds = wanted
    this.restart()
    return begins
  }

  /** Close the stream, with everything that its user got. */
  forget(): void {
    clearTimeout(this.#retry)
    if (this.#flush) clearTimeout(this.#flush)
    this.#events?.close()
    this.#events = this.#flush = null
    this.#collected.clear()
    this.#lastId = ''
    this.#kinds = []
    this.status = 'connecting'
  }

  restart(): void {
    clearTimeout(this.#retry)
    this.#events?.close()
    const url = new URL(this.#url)
    url.searchParams.set('kinds', this.#kinds.join(','))
    if (this.#lastId) url.searchParams.set('last-event-id', this.#lastId)
    const events = new EventSource(url)
    this.#events = events
    this.#say('connecting')
    events.onopen = () => {
      this.#pauseMs = FIRST_PAUSE_MS
      this.#say('live')
    }
    events.onerror = () => {
      this.#lost(events)
    }
    const on = (name: string, take: (data: string) => void) => {
      events.addEventListener(name, (event: MessageEvent<string>) => {
        this.#lastId = event.lastEventId
        take(event.data)
      })
    }
    on('job', (data) => {
      const job = JSON.parse(data) as JobEvent
      this.#collect({ kind: 'job', id: String(job.id), job })
    })
    on('job_deleted', (data) => {
      this.#collect({ kind: 'job_deleted', id: String((JSON.parse(data) as { id: number }).id) })
    })
    on('node', (data) => {
      const node = JSON.parse(data) as NodeEvent
      this.#collect({ kind: 'node', id: node.id, node })
    })
    on('rejections', (data) => {
      this.#collect({ kind: 'rejections', id: 'rejections', ...(JSON.parse(data) as { counts: Record<string, number> }) })
    })
    on('reset', () => {
      this.#collected.clear()
      this.#emit({ type: 'reset' })
    })
    on('end', () => {
      events.close()
      this.#say('ended')
    })
  }

  /** The browser itself tries again after a cut connection, but not after an error answer. */
  #lost(events: EventSource): void {
    if (this.status === 'ended') return
    this.#say('lost')
    if (events.readyState !== EventSource.CLOSED) return
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => {
      this.restart()
    }, this.#pauseMs)
    this.#pauseMs = Math.min(MAX_PAUSE_MS, this.#pauseMs * 2)
  }

  #say(status: typeof this.status): void {
    this.status = status
    this.#emit({ type: 'status', status })
  }

  #collect(change: Change): void {
    this.#collected.set(`${change.kind === 'node' ? 'node' : 'job'} ${change.id}`, change)
    this.#flush ??= setTimeout(() => {
      this.#flush = null
      const changes = [...this.#collected.values()]
      this.#collected.clear()
      if (changes.length) this.#emit({ type: 'changes', changes })
    }, COLLECT_MS)
  }
}
