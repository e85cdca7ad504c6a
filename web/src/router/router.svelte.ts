import type { Component } from 'svelte'
import { hasRole, session } from '../session.ts'
import { matcher, type Match, type PageProps, type Route } from './match.ts'

export interface Shown extends PageProps {
  title: string
  /** Null when the page does not exist or is not for the viewer. */
  page: Component<PageProps> | null
  isBare: boolean
  why: 'shown' | 'unknown' | 'forbidden' | 'broken'
}

/**
 * One page at a time. The page that is shown stays until the code of the next one is there. Browsers without the Navigation API load
 * pages as any web site.
 */
class Router {
  shown = $state.raw<Shown | null>(null)
  isLoading = $state(false)
  #match: (url: URL) => Match | null = () => null
  #turn = 0

  async start(routes: Route[]): Promise<void> {
    this.#match = matcher(routes, new URL(document.baseURI).pathname)
    if ('navigation' in window)
      navigation.addEventListener('navigate', (event) => {
        this.#navigate(event)
      })
    await this.#show(new URL(location.href))
  }

  #navigate(event: NavigateEvent): void {
    const url = new URL(event.destination.url)
    if (!event.canIntercept || event.hashChange || event.downloadRequest !== null || event.formData) return
    if (event.navigationType === 'reload') return // with the session that holds now
    if (!this.#match(url)) return
    const isSamePage = url.pathname === new URL(location.href).pathname
    event.intercept({
      focusReset: isSamePage ? 'manual' : 'after-transition',
      scroll: isSamePage && event.navigationType !== 'traverse' ? 'manual' : 'after-transition',
      handler: () => this.#show(url),
    })
  }

  async #show(url: URL): Promise<void> {
    const turn = ++this.#turn
    const match = this.#match(url)
    const plain = { url, params: match?.params ?? {}, page: null, isBare: match?.route.isBare ?? false }
    if (!match) {
      this.shown = { ...plain, title: 'No such page', why: 'unknown' }
    } else if (match.route.roles && !hasRole(...match.route.roles)) {
      this.shown = { ...plain, title: match.route.title(match.params), why: 'forbidden' }
    } else {
      this.isLoading = true
      const title = match.route.title(match.params)
      try {
        const page = (await match.route.load()).default
        if (turn === this.#turn) this.shown = { ...plain, page, title, why: 'shown' }
      } catch {
        if (turn === this.#turn) this.shown = { ...plain, title, why: 'broken' }
      } finally {
        if (turn === this.#turn) this.isLoading = false
      }
    }
    if (turn === this.#turn) this.title(this.shown?.title ?? '')
  }

  /** Also for a page that knows its title only when its data are there. */
  title(text: string): void {
    document.title = text ? `${text} · ${session.site}` : session.site
  }
}

export const router = new Router()

/** Open an address of the site, relative to the base path. `replace` makes no entry in the history. */
export function go(to: string, options: { replace?: boolean } = {}): void {
  const url = new URL(to, document.baseURI).href
  if (url === location.href) return
  if ('navigation' in window) navigation.navigate(url, { history: options.replace ? 'replace' : 'push' })
  else if (options.replace) location.replace(url)
  else location.assign(url)
}
