import { MAX_LINES } from './curve.ts'

/** The colours of the theme, as a canvas takes them. */
export interface Palette {
  curves: string[]
  surface: string
  ink: string
  grid: string
  accent: string
  normal: string
  caution: string
  alert: string
}

/** Custom properties with light-dark() have their colour only where they are used: on an element. */
export function readPalette(place: HTMLElement): Palette {
  const probe = document.createElement('span')
  probe.hidden = true
  place.append(probe)
  const colour = (name: string) => {
    probe.style.color = `var(--${name})`
    return getComputedStyle(probe).color
  }
  const palette = {
    curves: Array.from({ length: MAX_LINES }, (_, index) => colour(`curve-${String(index + 1)}`)),
    surface: colour('surface'),
    ink: colour('muted'),
    grid: colour('line'),
    accent: colour('accent'),
    normal: colour('good'),
    caution: colour('warn'),
    alert: colour('bad'),
  }
  probe.remove()
  return palette
}

/** Calls back after each change of the theme, by the viewer or by the system. Returns the way to stop. */
export function onTheme(changed: () => void): () => void {
  const observer = new MutationObserver(changed)
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
  const dark = matchMedia('(prefers-color-scheme: dark)')
  dark.addEventListener('change', changed)
  return () => {
    observer.disconnect()
    dark.removeEventListener('change', changed)
  }
}
