/** The time that is shown: moves once a second while the page can be seen. */
class Clock {
  now = $state(Date.now())

  start(): void {
    const tick = () => {
      if (!document.hidden) this.now = Date.now()
    }
    setInterval(tick, 1000)
    document.addEventListener('visibilitychange', tick)
  }
}

export const clock = new Clock()
