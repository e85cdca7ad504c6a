/** A list of the gateway that is changed here: loaded again after each change. */
export class Records<Item> {
  items = $state.raw<Item[]>([])
  failure = $state('')
  isLoaded = $state(false)
  readonly #ask: () => Promise<Item[]>

  constructor(ask: () => Promise<Item[]>) {
    this.#ask = ask
  }

  async load(): Promise<void> {
    this.failure = await problemOf(async () => {
      this.items = await this.#ask()
      this.isLoaded = true
    })
  }

  /** Returns what the gateway objects to, empty if the change was made. */
  async change(make: () => Promise<void>): Promise<string> {
    const problem = await problemOf(make)
    if (!problem) await this.load()
    return problem
  }
}

async function problemOf(run: () => Promise<void>): Promise<string> {
  try {
    await run()
    return ''
  } catch (e) {
    return e instanceof Error ? e.message : String(e)
  }
}
