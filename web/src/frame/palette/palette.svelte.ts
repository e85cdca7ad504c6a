import type { Found, SearchVariables } from '../../api/search.ts'
import { groups, wanted, type Group, type Item } from './items.ts'

type Search = (variables: SearchVariables, signal: AbortSignal) => Promise<Found>

const PAUSE_MS = 150

/** What is typed, what fits to it, and which of that is active. What was found stays until the next answer. */
export class Palette {
  typed = $state('')
  failure = $state('')
  isSearching = $state(false)
  #found = $state.raw<Found | null>(null)
  #activeId = $state('')
  readonly #search: Search
  readonly #commands: Group[]
  readonly #seesNodes: boolean
  #asked: AbortController | null = null
  #timer: ReturnType<typeof setTimeout> | undefined

  readonly groups = $derived.by(() => groups(this.typed, this.#commands, this.#found))
  readonly items = $derived(this.groups.flatMap(({ items }) => items))
  readonly active = $derived<Item | undefined>(this.items.find(({ id }) => id === this.#activeId) ?? this.items[0])

  constructor(search: Search, commands: Group[], seesNodes: boolean) {
    this.#search = search
    this.#commands = commands
    this.#seesNodes = seesNodes
  }

  /** One request, when typing pauses; that of an earlier text is given up. */
  type(text: string): void {
    this.typed = text
    this.#activeId = ''
    this.close()
    const variables = wanted(text, this.#seesNodes)
    this.isSearching = variables !== null
    if (variables) this.#timer = setTimeout(() => void this.#ask(variables), PAUSE_MS)
    else this.#found = null
  }

  /** To the next or the previous item; from the last to the first. */
  move(steps: number): void {
    const at = this.items.findIndex(({ id }) => id === this.active?.id)
    const next = this.items[(at + steps + this.items.length) % this.items.length]
    if (next) this.#activeId = next.id
  }

  point(item: Item): void {
    this.#activeId = item.id
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#asked?.abort()
  }

  async #ask(variables: SearchVariables): Promise<void> {
    const asked = (this.#asked = new AbortController())
    try {
      const found = await this.#search(variables, asked.signal)
      if (asked.signal.aborted) return
      this.#found = found
      this.failure = ''
    } catch (e) {
      if (asked.signal.aborted) return
      this.#found = null
      this.failure = e instanceof Error ? e.message : String(e)
    }
    this.isSearching = false
  }
}
