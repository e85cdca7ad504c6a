import { storeSetting } from './api/session.ts'
import { session } from './session.ts'

export type Theme = 'system' | 'light' | 'dark'
export const THEMES: Theme[] = ['system', 'light', 'dark']
const SETTING = 'web_theme'

/** The look of the page, stored for the user. The styles do the rest by `color-scheme`. */
class ThemeChoice {
  chosen = $state<Theme>('system')

  start(): void {
    const stored = session.settings[SETTING]
    this.#apply(THEMES.find((theme) => theme === stored) ?? 'system')
  }

  /** Raises ApiError when it could not be stored; the page has the look all the same. */
  async choose(theme: Theme): Promise<void> {
    this.#apply(theme)
    await storeSetting(SETTING, theme)
  }

  #apply(theme: Theme): void {
    this.chosen = theme
    document.documentElement.dataset['theme'] = theme
  }
}

export const theme = new ThemeChoice()
