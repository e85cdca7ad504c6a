import type { Component } from 'svelte'
import type { Role } from '../session.ts'

export interface PageProps {
  /** The address, whose parameters are the state of the page. */
  url: URL
  /** The named parts of the path. */
  params: Record<string, string>
}

export interface Route {
  /** A URLPattern, relative to the base path. */
  path: string
  title: (params: Record<string, string>) => string
  load: () => Promise<{ default: Component<PageProps> }>
  /** Who may open the page; everybody if left out. */
  roles?: Role[]
  /** Fills the screen, without the bar. */
  isBare?: boolean
}

export interface Match {
  route: Route
  params: Record<string, string>
}

/** Finds the page of a path. `base` ends with a slash. A missing or superfluous slash at the end does not matter. */
export function matcher(routes: Route[], base: string): (url: URL) => Match | null {
  const patterns = routes.map((route) => ({
    route,
    pattern: new URLPattern({ pathname: (base + route.path.slice(1)).replace(/\/$/, '') + '{/}?' }),
  }))
  return (url) => {
    for (const { route, pattern } of patterns) {
      const found = pattern.exec({ pathname: url.pathname.replace(/\/$/, '') })
      if (!found) continue
      const given = Object.entries(found.pathname.groups).filter(([name]) => !/^\d+$/.test(name))
      return { route, params: Object.fromEntries(given.map(([name, value]) => [name, decode(value ?? '')])) }
    }
    return null
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
