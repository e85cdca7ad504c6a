import type { NewDetails, MetricSeries, SeriesWish } from '../../api/series.ts'
import type { Line } from '../../charts/curve.ts'
import { linesOf } from './curves.ts'
import { continued } from './growing.ts'

type Ask = (id: string, wish: SeriesWish, signal?: AbortSignal) => Promise<MetricSeries[]>

const COLLECT_MS = 30 // wishes of maps that come near the view together are one request
const MAX_METRICS = 4 // of one request, so that the first maps do not wait for the last

/** The single series of a job behind its bands, loaded for the metrics that a map or a chosen node needs. */
export class JobDetails {
  /** By the name of the metric. */
  lines = $state.raw<ReadonlyMap<string, Line[]>>(new Map())
  failure = $state('')
  readonly #ask: Ask
  readonly #wanted = new Set<string>()
  readonly #loaded = new Map<string, MetricSeries[]>()
  #asked = new AbortController()
  #new: string[] = []
  #timer: ReturnType<typeof setTimeout> | undefined
  #wish: { id: string; points: number; scope: string } | null = null

  constructor(ask: Ask) {
    this.#ask = ask
  }

  /** From now on of this job at this scope. What is shown of another is forgotten. */
  of(id: string, points: number, scope: string): void {
    if (this.#wish?.id === id && this.#wish.scope === scope) return
    this.close()
    this.#wish = { id, points, scope }
    this.#wanted.clear()
    this.#loaded.clear()
    this.#new = []
    this.lines = new Map()
  }

  want(name: string): void {
    if (this.#wanted.has(name)) return
    this.#wanted.add(name)
    this.#new.push(name)
    this.#timer ??= setTimeout(() => void this.#load(this.#new.splice(0)), COLLECT_MS)
  }

  /** The metrics whose series are there. */
  get names(): string[] {
    return [...this.#loaded.keys()]
  }

  /** Asks again, as for a running job. */
  async refresh(): Promise<void> {
    await this.#load([...this.#wanted])
  }

  /** Continues what is there. Metrics that the part does not continue are asked again. */
  async extend(parts: NewDetails[]): Promise<void> {
    const scope = this.#wish?.scope ?? ''
    const other: string[] = []
    const lines = new Map(this.lines)
    for (const [name, whole] of this.#loaded) {
      const found = continued(
        whole,
        parts.filter((part) => part.name === name),
      )
      if (found) for (const [key, own] of linesOf(found, scope)) lines.set(key, own)
      else other.push(name)
    }
    this.lines = lines
    await this.#load(other)
  }

  close(): void {
    this.#asked.abort()
    this.#asked = new AbortController()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  async #load(names: string[]): Promise<void> {
    this.#timer = undefined
    const { signal } = this.#asked
    for (let first = 0; first < names.length; first += MAX_METRICS) {
      const metrics = names.slice(first, first + MAX_METRICS)
      if (!this.#wish) return
      const { id, ...wish } = this.#wish
      try {
        const found = await this.#ask(id, { ...wish, metrics, withLines: true, withBand: false }, signal)
        if (signal.aborted) return
        for (const name of metrics) {
          this.#loaded.set(
            name,
            found.filter((one) => one.name === name),
          )
        }
        this.lines = new Map([...this.lines, ...linesOf(found, wish.scope)])
        this.failure = ''
      } catch (e) {
        if (signal.aborted) return
        for (const name of metrics) this.#wanted.delete(name) // asked again when it comes near the view
        this.failure = e instanceof Error ? e.message : String(e)
      }
    }
  }
}
