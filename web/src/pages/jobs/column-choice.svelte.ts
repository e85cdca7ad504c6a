import { metrics, type Metric } from '../../api/metrics.ts'
import { storeSetting } from '../../api/session.ts'
import { session } from '../../session.ts'
import { allColumns, shownColumns } from './columns.ts'

const SETTING = 'web_jobs_columns'

/** The columns of the table that the viewer chose, stored as a setting. */
export class ColumnChoice {
  #metrics = $state.raw<ReadonlyMap<string, Metric>>(new Map())
  #chosen = $state.raw<unknown>(session.settings[SETTING])
  readonly all = $derived(allColumns(this.#metrics))
  readonly shown = $derived(shownColumns(this.all, this.#chosen))

  /** Without an answer the table has no columns of metrics. */
  async load(): Promise<void> {
    this.#metrics = await metrics().catch(() => this.#metrics)
  }

  toggle(key: string): void {
    const shown = this.shown.map((column) => column.key)
    const keys = shown.includes(key) ? shown.filter((other) => other !== key) : [...shown, key]
    this.#chosen = keys
    session.settings[SETTING] = keys
    storeSetting(SETTING, keys).catch(() => undefined) // the page has them all the same
  }
}
