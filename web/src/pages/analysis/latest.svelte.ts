/** The answer to the newest question. The one before stays until it is there, with what it was asked for. */
export class Latest<Question, Result> {
  found = $state.raw<{ question: Question; result: Result } | null>(null)
  failure = $state('')
  isLoading = $state(false)
  readonly #ask: (question: Question, signal: AbortSignal) => Promise<Result>
  #asked: AbortController | null = null

  constructor(ask: (question: Question, signal: AbortSignal) => Promise<Result>) {
    this.#ask = ask
  }

  async show(question: Question): Promise<void> {
    this.#asked?.abort()
    const { signal } = (this.#asked = new AbortController())
    this.isLoading = true
    try {
      const result = await this.#ask(question, signal)
      if (signal.aborted) return
      this.found = { question, result }
      this.failure = ''
    } catch (e) {
      if (!signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      if (this.#asked.signal === signal) this.isLoading = false
    }
  }

  close(): void {
    this.#asked?.abort()
  }
}
