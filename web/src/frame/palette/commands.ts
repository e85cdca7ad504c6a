import { signOut } from '../../api/session.ts'
import { entries } from '../../navigation.ts'
import { session } from '../../session.ts'
import * as texts from '../../texts/en.ts'
import { theme, THEMES } from '../../theme.svelte.ts'
import { overlays } from '../overlays.svelte.ts'
import type { Group, Item } from './items.ts'

const ICONS = { system: 'contrast', light: 'sun', dark: 'moon' } as const

async function leave() {
  await signOut().catch(() => undefined)
  location.assign(new URL('login', document.baseURI))
}

/** The pages of the viewer's roles, and what can be done on every page. */
export function commands(): Group[] {
  const pages: Item[] = entries().map(({ label, to }) => ({ id: `page ${to}`, label, icon: 'right', to }))
  pages.push({ id: 'compare', label: texts.compare.title, icon: 'right', to: 'monitoring/compare/' })
  pages.push({ id: 'config', label: texts.config.title, icon: 'right', to: 'config' })
  pages.push({ id: 'rest', label: texts.palette.rest, icon: 'right', run: () => location.assign(new URL('swagger/', document.baseURI)) })
  if (session.playground)
    pages.push({
      id: 'graphql',
      label: texts.palette.graphql,
      icon: 'right',
      run: () => location.assign(new URL('playground/', document.baseURI)),
    })
  const actions: Item[] = THEMES.map((choice) => ({
    id: `theme ${choice}`,
    label: `${texts.theme.label}: ${texts.theme[choice].toLowerCase()}`,
    icon: ICONS[choice],
    run: () => void theme.choose(choice).catch(() => undefined),
  }))
  actions.push({ id: 'keys', label: texts.keys.title, icon: 'info', run: () => overlays.open('keys') })
  actions.push({ id: 'leave', label: texts.user.signOut, icon: 'leave', run: () => void leave() })
  return [
    { label: texts.palette.pages, items: pages },
    { label: texts.palette.actions, items: actions },
  ]
}
