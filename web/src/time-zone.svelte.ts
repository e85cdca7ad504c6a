import { storeSetting } from './api/session.ts'
import { zone } from './lib/zone.svelte.ts'
import { session } from './session.ts'

export type ZoneChoice = 'site' | 'local' | 'utc'
export const ZONES: ZoneChoice[] = session.timeZone ? ['site', 'local', 'utc'] : ['local', 'utc']
const SETTING = 'web_timeZone'

/** The zone of all times on the pages, stored for the user. */
class TimeZone {
  chosen = $state<ZoneChoice>('local')

  start(): void {
    this.#apply(ZONES.find((choice) => choice === session.settings[SETTING]) ?? ZONES[0] ?? 'local')
  }

  /** Raises ApiError when it could not be stored; the page shows times in the zone all the same. */
  async choose(choice: ZoneChoice): Promise<void> {
    this.#apply(choice)
    session.settings[SETTING] = choice
    await storeSetting(SETTING, choice)
  }

  #apply(choice: ZoneChoice): void {
    this.chosen = choice
    zone.name = choice === 'utc' ? 'UTC' : choice === 'site' ? session.timeZone : undefined
  }
}

export const timeZone = new TimeZone()
