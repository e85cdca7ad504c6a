import type { NodeState } from '../../api/nodes.ts'
import type { Change } from '../../live/protocol.ts'

const RELOAD_MS = 2000

/** The states of the nodes of all clusters: read again after a change of one, at most every two seconds. */
export class Clusters {
  nodes = $state.raw<NodeState[]>([])
  failure = $state('')
  isLoaded = $state(false)
  readonly #nodeStates: (signal?: AbortSignal) => Promise<NodeState[]>
  #asked: AbortController | null = null
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(api: { nodeStates: (signal?: AbortSignal) => Promise<NodeState[]> }) {
    this.#nodeStates = api.nodeStates
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    const { signal } = (this.#asked = new AbortController())
    try {
      const nodes = await this.#nodeStates(signal)
      if (signal.aborted) return
      this.nodes = nodes
      this.failure = ''
      this.isLoaded = true
    } catch (e) {
      if (!signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    }
  }

  changes(changes: Change[]): void {
    if (!changes.some(({ kind }) => kind === 'node')) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.load()
    }, RELOAD_MS)
  }

  close(): void {
    this.#asked?.abort()
    clearTimeout(this.#timer)
  }
}
