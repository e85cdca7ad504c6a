import type { Bar } from '../../charts/stack.ts'
import type { Report, ReportVariables } from '../../api/use.ts'
import { readReport, valueOf, variables, type ReportState } from './loader.ts'

export interface ReportApi {
  report: (variables: ReportVariables, signal?: AbortSignal) => Promise<Report>
}

export const MAX_CSV_ROWS = 100_000
/** The part of a bar that belongs to none of the largest groups. No group has this key, since it has a character that names lack. */
export const OTHERS = '\u0000others'

/** One report. What is shown stays until something newer is there, with the state that it belongs to. */
export class ReportView {
  state = $state.raw<ReportState>(readReport(new URL('http://none/')))
  found = $state.raw<Report | null>(null)
  failure = $state('')
  isLoading = $state(false)
  readonly #api: ReportApi
  readonly #zone: string
  #asked: AbortController | null = null

  constructor(api: ReportApi, zone: string) {
    this.#api = api
    this.#zone = zone
  }

  async show(state: ReportState): Promise<void> {
    this.#asked?.abort()
    const asked = (this.#asked = new AbortController())
    this.isLoading = true
    try {
      const found = await this.#api.report(variables(state, this.#zone), asked.signal)
      if (asked.signal.aborted) return
      this.state = state
      this.found = found
      this.failure = ''
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    } finally {
      if (asked === this.#asked) this.isLoading = false
    }
  }

  /** All groups, also those beyond the table. Null after a failure. */
  async all(): Promise<Report | null> {
    try {
      return await this.#api.report(variables(this.state, this.#zone, MAX_CSV_ROWS))
    } catch (e) {
      this.failure = e instanceof Error ? e.message : String(e)
      return null
    }
  }

  close(): void {
    this.#asked?.abort()
  }
}

/** A bar for each period, with a part for each of the largest groups and one for the rest. */
export function barsOf(found: Report, state: ReportState, label: (from: Date) => string): { bars: Bar[]; keys: string[] } {
  const parts = new Map<string, { key: string; value: number }[]>()
  if (state.by !== 'time')
    for (const part of found.parts) {
      const value = { key: part.id, value: valueOf(state.value, part) }
      parts.set(part.from, [...(parts.get(part.from) ?? []), value])
    }
  const bars = found.bins.map((bin) => {
    const own = parts.get(bin.from) ?? []
    const rest = valueOf(state.value, bin) - own.reduce((sum, { value }) => sum + value, 0)
    // What remains of sums of fractions is no part.
    const others = rest > 1e-6 * Math.max(1, valueOf(state.value, bin)) ? [{ key: OTHERS, value: rest }] : []
    return { key: bin.from, label: label(new Date(bin.from)), parts: [...own, ...others] }
  })
  const totals = new Map<string, number>()
  for (const bar of bars) for (const { key, value } of bar.parts) totals.set(key, (totals.get(key) ?? 0) + value)
  const keys = [...totals.keys()].filter((key) => key !== OTHERS).sort((a, b) => (totals.get(b) ?? 0) - (totals.get(a) ?? 0))
  return { bars, keys: totals.has(OTHERS) ? [...keys, OTHERS] : keys }
}
