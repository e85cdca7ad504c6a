/** The arrow keys move the focus among the elements that fit `selector`, of which one alone is in the order of the tab key. */
export const roving = (selector: string) => (area: HTMLElement) => {
  let current: HTMLElement | null = null
  const all = () => [...area.querySelectorAll<HTMLElement>(selector)]
  const take = (element: HTMLElement | null | undefined) => {
    if (!element || element === current) return
    if (current) current.tabIndex = -1
    element.tabIndex = 0
    current = element
  }
  const key = (event: KeyboardEvent) => {
    const found = all()
    const at = found.indexOf(document.activeElement as HTMLElement)
    const here = found[at]
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return
    const to = target(event.key, found, at, here)
    if (!to) return
    event.preventDefault()
    take(to)
    to.focus()
  }
  const focus = ({ target: element }: FocusEvent) => {
    if (element instanceof HTMLElement && element.matches(selector)) take(element)
  }
  /** The first one again if the current one has left. */
  const observer = new MutationObserver(() => {
    if (!current || !area.contains(current)) take(area.querySelector<HTMLElement>(selector))
  })
  take(area.querySelector<HTMLElement>(selector))
  observer.observe(area, { childList: true, subtree: true })
  area.addEventListener('keydown', key)
  area.addEventListener('focusin', focus)
  return () => {
    observer.disconnect()
    area.removeEventListener('keydown', key)
    area.removeEventListener('focusin', focus)
  }
}

function target(key: string, all: HTMLElement[], at: number, here: HTMLElement): HTMLElement | undefined {
  switch (key) {
    case 'ArrowRight':
      return all[at + 1]
    case 'ArrowLeft':
      return all[at - 1]
    case 'Home':
      return all[0]
    case 'End':
      return all.at(-1)
    case 'ArrowDown':
      return all.slice(at).find((other) => other.offsetTop > here.offsetTop && other.offsetLeft >= here.offsetLeft)
    case 'ArrowUp':
      return all.slice(0, at).findLast((other) => other.offsetTop < here.offsetTop && other.offsetLeft <= here.offsetLeft)
    default:
      return undefined
  }
}
