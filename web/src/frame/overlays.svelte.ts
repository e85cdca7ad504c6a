/** The dialogs that a key opens over any page. Their code is loaded when they are opened first. */
class Overlays {
  shown = $state<'palette' | 'keys' | null>(null)

  open(which: 'palette' | 'keys'): void {
    this.shown = which
  }

  close(): void {
    this.shown = null
  }
}

export const overlays = new Overlays()
