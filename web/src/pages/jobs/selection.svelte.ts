/** The jobs that were selected, by their ids, in the order of selection. They stay selected on other pages of the list. */
export class Selection {
  ids = $state.raw<readonly string[]>([])
  readonly #set = $derived(new Set(this.ids))
  /** Where a range begins. */
  #last: string | null = null

  has(id: string): boolean {
    return this.#set.has(id)
  }

  /** Selects a job or not; with `isRange` all rows from the last one touched to this one. `rows` are the ids on the page. */
  toggle(id: string, rows: readonly string[], isRange: boolean): void {
    const isOn = !this.has(id)
    const from = isRange && this.#last !== null ? rows.indexOf(this.#last) : -1
    const to = rows.indexOf(id)
    const touched = from >= 0 && to >= 0 ? rows.slice(Math.min(from, to), Math.max(from, to) + 1) : [id]
    this.#put(touched, isOn)
    this.#last = id
  }

  /** All rows of the page; if they all are selected, none of them. */
  togglePage(rows: readonly string[]): void {
    this.#put(rows, this.ofPage(rows) !== 'all')
  }

  ofPage(rows: readonly string[]): 'all' | 'some' | 'none' {
    const chosen = rows.filter((id) => this.has(id)).length
    return chosen === 0 ? 'none' : chosen === rows.length ? 'all' : 'some'
  }

  clear(): void {
    this.ids = []
    this.#last = null
  }

  #put(touched: readonly string[], isOn: boolean): void {
    const rest = this.ids.filter((id) => !touched.includes(id))
    this.ids = isOn ? [...this.ids, ...touched.filter((id) => !this.has(id))] : rest
  }
}

/** It outlives the page, so that a look at a job does not lose it. */
export const selection = new Selection()

export const MAX_COMPARED = 8

/** The page that compares jobs; null for fewer than two or more than eight. */
export function compareAddress(ids: readonly string[]): string | null {
  if (ids.length < 2 || ids.length > MAX_COMPARED) return null
  return `monitoring/compare/?${ids.map((id) => `job=${id}`).join('&')}`
}
