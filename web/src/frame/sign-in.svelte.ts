import { signIn } from '../api/session.ts'
import { live } from '../live/live.svelte.ts'
import * as texts from '../texts/en.ts'

/** The dialog that appears when the session has ended. The page below it keeps its state. */
class SignInDialog {
  isOpen = $state(false)
  failure = $state('')
  isBusy = $state(false)

  open(): void {
    this.isOpen = true
  }

  async submit(name: string, password: string): Promise<void> {
    this.isBusy = true
    try {
      this.failure = (await signIn(name, password)) ?? ''
      if (this.failure) return
      this.isOpen = false
      live.restart()
    } catch {
      this.failure = texts.signIn.failed
    } finally {
      this.isBusy = false
    }
  }
}

export const signInDialog = new SignInDialog()
