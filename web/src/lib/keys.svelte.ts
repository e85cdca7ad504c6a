/** The keys of the frame and of the page that is shown. */

export interface Key {
  /** As `KeyboardEvent.key`; `Ctrl+` in front also means the command key. */
  key: string
  label: string
  run: () => void
  isGlobal?: boolean
  /** Only listed: what has the focus reacts to it. */
  isLocal?: boolean
}

const TYPING = 'input, select, textarea, [contenteditable]'

class Keys {
  all = $state.raw<readonly Key[]>([])
  readonly #registered = new Set<Key>()

  /** Returns the way to remove them, as `onMount` takes it. */
  register(keys: Key[]): () => void {
    for (const key of keys) this.#registered.add(key)
    this.all = [...this.#registered]
    return () => {
      for (const key of keys) this.#registered.delete(key)
      this.all = [...this.#registered]
    }
  }

  start(): void {
    window.addEventListener('keydown', (event) => {
      const target = event.target instanceof HTMLElement ? event.target : null
      const found = this.find(event, !!target?.matches(TYPING), document.querySelector('dialog[open]') !== null)
      if (!found) return
      event.preventDefault()
      found.run()
    })
  }

  /** The newest one wins. While something is typed only keys with Ctrl count, and none below a dialog. */
  find(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'defaultPrevented'>, isTyping: boolean, hasDialog: boolean) {
    if (event.altKey || event.defaultPrevented || hasDialog) return undefined
    const hasControl = event.ctrlKey || event.metaKey
    if (isTyping && !hasControl) return undefined
    const name = hasControl ? `Ctrl+${event.key.toLowerCase()}` : event.key
    return this.all.findLast(({ key, isLocal }) => key === name && !isLocal)
  }
}

export const keys = new Keys()
