/** The time that all plots and maps of a page point at, in seconds since the start; null without a cursor. */

type Listener = (at: number | null, source: unknown) => void

class SharedCursor {
  at: number | null = null
  readonly #listeners = new Set<Listener>()

  /** `source` is the plot that moves the cursor, which need not follow itself. */
  move(at: number | null, source: unknown = null): void {
    if (at === this.at) return
    this.at = at
    for (const listener of this.#listeners) listener(at, source)
  }

  /** Calls back after each move. Returns the way to stop. */
  follow(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

export const cursor = new SharedCursor()
