import type { JobRow } from '../../api/jobs.ts'

/** The row that the keyboard is at, and whether its job is previewed. */
export class RowCursor {
  isOpen = $state(false)
  #rows = $state.raw<JobRow[]>([])
  #id = $state<string | null>(null)
  readonly current = $derived(this.#rows.find(({ id }) => id === this.#id) ?? null)
  readonly previewed = $derived(this.isOpen ? this.current : null)
  /** The one row that is in the tab order. */
  readonly tabStop = $derived((this.current ?? this.#rows[0])?.id)

  show(rows: JobRow[]): void {
    this.#rows = rows
  }

  at(id: string): void {
    this.#id = id
  }

  /** Returns the row to go to, null at the end of the list. From nowhere, the first row. */
  step(rows: 1 | -1): string | null {
    const place = this.#rows.findIndex(({ id }) => id === this.#id)
    const next = this.#rows[place < 0 ? 0 : place + rows]
    if (next) this.#id = next.id
    return next?.id ?? null
  }

  toggle(): void {
    this.isOpen = !this.isOpen
    if (this.isOpen) this.#id = this.tabStop ?? null
  }
}
