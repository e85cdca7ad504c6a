import type { RowCursor } from './cursor.svelte.ts'

/** Moves the focus along the rows below an element, each of which has its job in `data-job`. */
export class Reach {
  #list: HTMLElement | null = null
  readonly #cursor: RowCursor
  readonly #open: (id: string) => void

  /** `open` goes to the page of a job. */
  constructor(cursor: RowCursor, open: (id: string) => void) {
    this.#cursor = cursor
    this.#open = open
  }

  readonly list = (element: HTMLElement) => {
    this.#list = element
    const focused = (event: FocusEvent) => {
      const id = rowOf(event)?.dataset['job']
      if (id) this.#cursor.at(id)
    }
    const pressed = (event: KeyboardEvent) => {
      const row = rowOf(event)
      // Links and fields in the row react to keys themselves.
      if (!row || event.target !== row || event.ctrlKey || event.metaKey || event.altKey || !this.#react(event.key, row)) return
      event.preventDefault()
    }
    element.addEventListener('focusin', focused)
    element.addEventListener('keydown', pressed)
    return () => {
      element.removeEventListener('focusin', focused)
      element.removeEventListener('keydown', pressed)
    }
  }

  step(rows: 1 | -1): void {
    const id = this.#cursor.step(rows)
    if (id) this.focus(id)
  }

  focus(id: string): void {
    this.#list?.querySelector<HTMLElement>(`[data-job="${CSS.escape(id)}"]`)?.focus()
  }

  #react(key: string, row: HTMLElement): boolean {
    if (key === 'ArrowDown') this.step(1)
    else if (key === 'ArrowUp') this.step(-1)
    else if (key === ' ') this.#cursor.toggle()
    else if (key === 'Enter') this.#open(row.dataset['job'] ?? '')
    else if (key === 'Escape') this.#cursor.isOpen = false
    else return false
    return true
  }
}

const rowOf = (event: Event) => (event.target instanceof Element ? event.target.closest<HTMLElement>('[data-job]') : null)

/** A row of the list. One of them is in the tab order; the others get the focus by keys and by a click. */
export const reachable = (cursor: RowCursor, id: string) => (row: HTMLElement) => {
  $effect(() => {
    row.tabIndex = cursor.tabStop === id ? 0 : -1
    if (cursor.previewed?.id === id) row.setAttribute('aria-current', 'true')
    else row.removeAttribute('aria-current')
  })
}
