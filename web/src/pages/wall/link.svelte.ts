import type { WallObject } from '../../api/wall.ts'

export interface LinkApi {
  wallNumbers: (token: string) => Promise<WallObject>
}

export const PAUSE_MS = 15_000

/** A wall screen without a session. It has no stream, since events name users and jobs: it asks as long as it is shown. */
export class LinkedWall {
  found = $state.raw<WallObject | null>(null)
  /** `ended`: the link was revoked, or has expired. */
  why = $state<'' | 'away' | 'ended'>('')
  readonly #api: LinkApi
  readonly #reload: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #token = ''

  /** `reload` is called when the gateway has another version than at the first answer. */
  constructor(api: LinkApi, reload: () => void) {
    this.#api = api
    this.#reload = reload
  }

  async show(token: string): Promise<void> {
    this.#token = token
    this.found = null
    await this.#ask()
  }

  close(): void {
    this.#token = '' // an answer that is on its way is dropped
    clearTimeout(this.#timer)
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer)
    const token = this.#token
    try {
      const found = await this.#api.wallNumbers(token)
      if (token !== this.#token) return
      if (this.found && this.found.version !== found.version) this.#reload()
      this.found = found
      this.why = ''
    } catch (e) {
      if (token !== this.#token) return
      this.why = e instanceof Error && 'status' in e && e.status === 401 ? 'ended' : 'away'
      if (this.why === 'ended') this.found = null
    }
    this.#timer = setTimeout(() => void this.#ask(), PAUSE_MS)
  }
}
