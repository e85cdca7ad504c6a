export interface View {
  name: string
  /** The parameters of the list, without a question mark. */
  query: string
}

export const MAX_VIEWS = 50
export const MAX_VIEW_NAME = 60
const MAX_QUERY = 1000 // all views fit into one setting

/** The lists that a person named, stored as a setting. */
export class Views {
  all = $state.raw<readonly View[]>([])
  failure = $state('')
  readonly #store: (value: readonly View[]) => Promise<void>

  /** `stored` is the value of the setting, which may be anything. */
  constructor(stored: unknown, store: (value: readonly View[]) => Promise<void>) {
    this.all = read(stored)
    this.#store = store
  }

  /** The view that the list shows. */
  shown(query: string): View | null {
    return this.all.find((view) => view.query === query) ?? null
  }

  /** Why a view cannot have this name or these parameters. */
  refuses(name: string, query: string): 'name' | 'many' | 'long' | null {
    if (!name.trim() || name.trim().length > MAX_VIEW_NAME) return 'name'
    if (query.length > MAX_QUERY) return 'long'
    return this.all.length >= MAX_VIEWS && !this.#has(name.trim()) ? 'many' : null
  }

  /** A view of the same name is replaced. */
  save(name: string, query: string): Promise<void> {
    const view = { name: name.trim(), query }
    return this.#put(this.#has(view.name) ? this.all.map((other) => (other.name === view.name ? view : other)) : [...this.all, view])
  }

  /** A view that had the new name is replaced. */
  rename(before: string, name: string): Promise<void> {
    const after = name.trim()
    const kept = this.all.filter((view) => view.name === before || view.name !== after)
    return this.#put(kept.map((view) => (view.name === before ? { ...view, name: after } : view)))
  }

  remove(name: string): Promise<void> {
    return this.#put(this.all.filter((view) => view.name !== name))
  }

  #has(name: string): boolean {
    return this.all.some((view) => view.name === name)
  }

  /** What could not be stored is not shown. */
  async #put(views: readonly View[]): Promise<void> {
    const before = this.all
    this.all = views
    this.failure = ''
    try {
      await this.#store(views)
    } catch (e) {
      this.all = before
      this.failure = e instanceof Error ? e.message : String(e)
    }
  }
}

const read = (stored: unknown): View[] => (Array.isArray(stored) ? (stored as unknown[]) : []).filter(isView).slice(0, MAX_VIEWS)

function isView(value: unknown): value is View {
  const { name, query } = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<keyof View, unknown>>
  return typeof name === 'string' && typeof query === 'string'
}
