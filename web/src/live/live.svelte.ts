import type { Asked, Change, Kind, Said, Status } from './protocol.ts'
import { Source } from './source.ts'

export interface Follower {
  /** Changes of jobs and nodes, each the newest state. */
  changes: (changes: Change[]) => void
  /** What is shown may lack changes: load it again, quietly. */
  reset: () => void
}

const MAX_WAITING = 2000 // changes collected for a hidden tab; beyond that it loads its page again

/** The stream of changes, as this tab sees it. A hidden tab gets its changes when it is shown again. */
class Live {
  status = $state<Status>('connecting')
  lastChangeAt = $state<Date | null>(null)
  readonly #followers = new Set<Follower>()
  readonly #waiting = new Map<string, Change>()
  #mustReset = false
  #ask: (asked: Asked) => void = () => undefined
  readonly #kinds = new Set<Kind>()
  #user = ''
  #after = ''
  #ended: () => void = () => undefined

  /** `after`: the cursor of the page, from which changes are wanted. `ended`: the stream was closed because the sign-in ended or its rights changed. */
  start(kinds: Kind[], { user, after }: { user: string; after: string }, ended: () => void): void {
    this.#user = user
    this.#after = after
    this.#ended = ended
    this.#connect()
    this.want(kinds)
    window.addEventListener('pagehide', () => {
      this.#ask({ type: 'leave' })
    })
    window.addEventListener('pageshow', (event) => {
      if (!event.persisted) return
      this.want([])
      this.#reset()
    })
    document.addEventListener('visibilitychange', () => {
      this.#deliver()
    })
  }

  /** Changes of these kinds from now on, beside those that arrive already. */
  want(kinds: Kind[]): void {
    for (const kind of kinds) this.#kinds.add(kind)
    const url = new URL('api/events/', document.baseURI).href
    this.#ask({ type: 'follow', url, kinds: [...this.#kinds], user: this.#user, after: this.#after })
  }

  /** After a new sign-in. Pages load again what they show. */
  restart(): void {
    this.#ask({ type: 'restart' })
    this.#reset()
  }

  /** Returns the way to stop following. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower)
    return () => this.#followers.delete(follower)
  }

  #connect(): void {
    const take = (said: Said) => {
      this.#take(said)
    }
    if ('SharedWorker' in window) {
      const worker = new SharedWorker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'jobtide' })
      worker.port.onmessage = (message: MessageEvent<Said>) => {
        take(message.data)
      }
      this.#ask = (asked) => {
        worker.port.postMessage(asked)
      }
      return
    }
    const source = new Source(take)
    this.#ask = (asked) => {
      if (asked.type === 'follow') source.follow(asked.url, asked.kinds, asked.after)
      if (asked.type === 'restart') source.restart()
    }
  }

  #take(said: Said): void {
    if (said.type === 'status') this.#changed(said.status)
    else if (said.type === 'reset') this.#reset()
    else if (said.type === 'other') location.reload()
    else {
      this.lastChangeAt = new Date()
      for (const change of said.changes) this.#waiting.set(`${change.kind === 'node' ? 'node' : 'job'} ${change.id}`, change)
      if (this.#waiting.size > MAX_WAITING) this.#mustReset = true
      this.#deliver()
    }
  }

  #changed(status: Status): void {
    this.status = status
    if (status === 'ended') this.#ended()
  }

  #reset(): void {
    this.#mustReset = true
    this.#deliver()
  }

  #deliver(): void {
    if (document.hidden) return
    const changes = [...this.#waiting.values()]
    const mustReset = this.#mustReset
    this.#waiting.clear()
    this.#mustReset = false
    for (const follower of [...this.#followers]) {
      if (mustReset) follower.reset()
      else if (changes.length) follower.changes(changes)
    }
  }
}

export const live = new Live()
