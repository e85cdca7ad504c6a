import { mount } from 'svelte'
import App from './App.svelte'
import { onExpired } from './api/graphql.ts'
import { signedIn } from './api/session.ts'
import { signInDialog } from './frame/sign-in.svelte.ts'
import { clock } from './lib/clock.svelte.ts'
import { keys } from './lib/keys.svelte.ts'
import { useRuleTitles } from './lib/rule-titles.ts'
import { live } from './live/live.svelte.ts'
import { router } from './router/router.svelte.ts'
import { routes } from './routes.ts'
import { hasRole, isSignedIn, session } from './session.ts'
import './styles/tokens.css'
import './styles/base.css'
import { theme } from './theme.svelte.ts'
import { timeZone } from './time-zone.svelte.ts'

theme.start()
timeZone.start()
useRuleTitles(session.rules)
clock.start()
keys.start()
if (isSignedIn)
  live.start(hasRole('admin', 'support') ? ['job', 'rejection'] : ['job'], { user: session.user.username, after: session.cursor }, () => {
    signedIn().then(
      (name) => {
        if (name === session.user.username) live.restart()
        else location.reload()
      },
      () => undefined, // 401 opens the dialog
    )
  })
onExpired(() => {
  if (isSignedIn) signInDialog.open()
})
const target = document.getElementById('app')
if (target) mount(App, { target })
await router.start(routes)
