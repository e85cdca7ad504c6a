export interface View {
  name: string
  /** The parameters of the list, without a question mark. */
  query: string
}

export const MAX_VIEWS = 50
export const MAX_VIEW_NAME = 60
const MAX_QUERY = 1000 // all views fit into one setting

interface Stored {
  views: View[]
  usual: string | null
}

/** The lists that a person named, stored as a setting. `usual` is the name of the one that opens first. */
export class Views {
  #stored: Stored = $state.raw({ views: [], usual: null })
  failure = $state('')
  readonly #store: (value: Stored) => Promise<void>

  /** `stored` is the value of the setting, which may be anything. */
  constructor(stored: unknown, store: (value: Stored) => Promise<void>) {
    this.#stored = read(stored)
    this.#store = store
  }

  get all(): readonly View[] {
    return this.#stored.views
  }

  get usual(): View | null {
    return this.#stored.views.find(({ name }) => name === this.#stored.usual) ?? null
  }

  /** The view that the list shows. */
  shown(query: string): View | null {
    return this.#stored.views.find((view) => view.query === query) ?? null
  }

  /** Why a view cannot have this name or these parameters. */
  refuses(name: string, query: string): 'name' | 'many' | 'long' | null {
    if (!name.trim() || name.trim().length > MAX_VIEW_NAME) return 'name'
    if (query.length > MAX_QUERY) return 'long'
    return this.#stored.views.length >= MAX_VIEWS && !this.#has(name.trim()) ? 'many' : null
  }

  /** A view of the same name is replaced. */
  save(name: string, query: string): Promise<void> {
    const view = { name: name.trim(), query }
    const views = this.#has(view.name)
      ? this.#stored.views.map((other) => (other.name === view.name ? view : other))
      : [...this.#stored.views, view]
    return this.#put({ ...this.#stored, views })
  }

  rename(before: string, name: string): Promise<void> {
    const after = name.trim()
    const views = this.#stored.views
      .filter((view) => view.name === before || view.name !== after)
      .map((view) => (view.name === before ? { ...view, name: after } : view))
    return this.#put({ views, usual: this.#stored.usual === before ? after : this.#stored.usual })
  }

  remove(name: string): Promise<void> {
    return this.#put({ ...this.#stored, views: this.#stored.views.filter((view) => view.name !== name) })
  }

  /** The view opens first, or no longer. */
  toggleUsual(name: string): Promise<void> {
    return this.#put({ ...this.#stored, usual: this.#stored.usual === name ? null : name })
  }

  #has(name: string): boolean {
    return this.#stored.views.some((view) => view.name === name)
  }

  /** What could not be stored is not shown. */
  async #put(stored: Stored): Promise<void> {
    const before = this.#stored
    this.#stored = stored
    this.failure = ''
    try {
      await this.#store(stored)
    } catch (e) {
      this.#stored = before
      this.failure = e instanceof Error ? e.message : String(e)
    }
  }
}

function read(stored: unknown): Stored {
  const { views, usual } = (typeof stored === 'object' && stored !== null ? stored : {}) as Partial<Record<keyof Stored, unknown>>
  const known = (Array.isArray(views) ? (views as unknown[]) : []).filter(isView).slice(0, MAX_VIEWS)
  return { views: known, usual: typeof usual === 'string' ? usual : null }
}

function isView(value: unknown): value is View {
  const { name, query } = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<keyof View, unknown>>
  return typeof name === 'string' && typeof query === 'string'
}
