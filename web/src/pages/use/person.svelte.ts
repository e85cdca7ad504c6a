import type { useOf, UseOfVariables } from '../../api/use.ts'
import { asQuery } from '../jobs/filters-as-query.ts'
import type { Filters } from '../jobs/filters.ts'
import type { Kind } from './loader.ts'

export type UseOf = Awaited<ReturnType<typeof useOf>>

const MONTHS = 12

export const fixedFilter = (kind: Kind, name: string): Filters => (kind === 'user' ? { user: [name], userMatch: 'eq' } : { project: name })

/** The totals follow the filters; what runs now and the months are those of the name alone. */
export function variablesOf(kind: Kind, name: string, filters: Filters, now: Date, zone: string): UseOfVariables {
  const fixed = fixedFilter(kind, name)
  const begin = new Date(now.getFullYear(), now.getMonth() - MONTHS + 1, 1)
  const [own] = asQuery(fixed)
  return {
    filter: asQuery({ ...filters, ...fixed }),
    running: [{ ...own, state: ['running'] }],
    since: [{ ...own, startTime: { from: begin.toISOString() } }],
    groupBy: kind === 'user' ? 'USER' : 'PROJECT',
    zone,
  }
}

/** The totals of one person or project. What is shown stays until something newer is there. */
export class UseOfName {
  found = $state.raw<UseOf | null>(null)
  failure = $state('')
  readonly #ask: (variables: UseOfVariables, signal?: AbortSignal) => Promise<UseOf>
  #asked: AbortController | null = null

  constructor(ask: typeof useOf) {
    this.#ask = ask
  }

  async show(variables: UseOfVariables): Promise<void> {
    this.#asked?.abort()
    const asked = (this.#asked = new AbortController())
    try {
      const found = await this.#ask(variables, asked.signal)
      if (asked.signal.aborted) return
      this.found = found
      this.failure = ''
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    }
  }

  close(): void {
    this.#asked?.abort()
  }
}
