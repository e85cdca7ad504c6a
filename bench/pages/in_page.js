// Runs in each page before its own scripts. Times are those of performance.now(): milliseconds since the navigation began.
window.bench = {
  /** When a condition held and the browser had drawn it. */
  drawn(condition) {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return requestAnimationFrame(look)
        const { port1, port2 } = new MessageChannel() // its message comes after the frame
        port1.onmessage = () => resolve(performance.now())
        port2.postMessage(null)
      }
      requestAnimationFrame(look)
    })
  },

  has: (selector, count = 1) => document.querySelectorAll(selector).length >= count,

  ids: () => [...document.querySelectorAll('[data-job]')].map(({ dataset }) => dataset.job).join(),

  open(address) {
    navigation.navigate(new URL(address, document.baseURI).href)
  },

  /** Milliseconds from a change of the address to other rows. */
  async otherRows(address) {
    const before = window.bench.ids()
    const begun = performance.now()
    window.bench.open(address)
    return (await window.bench.drawn(() => window.bench.ids() !== before)) - begun
  },

  /** Milliseconds from opening a page of the site to so many elements. */
  async opened(address, selector, count) {
    const begun = performance.now()
    window.bench.open(address)
    return (await window.bench.drawn(() => window.bench.has(selector, count))) - begun
  },

  /** By so many pixels in each frame, down to the end and back. */
  async scroll(pixels) {
    const frame = () => new Promise(requestAnimationFrame)
    for (const step of [pixels, -pixels]) {
      for (let last = -1; last !== scrollY; ) {
        last = scrollY
        scrollBy(0, step)
        await frame()
      }
      await window.bench.drawn(() => !window.bench.has('[aria-busy=true]'))
    }
  },

  /** Notes when a row with this text in it appears in the list, in Unix milliseconds. */
  seen: {},
  note(text) {
    for (const row of document.querySelectorAll('[data-job]'))
      if (row.textContent.includes(text)) window.bench.seen[row.dataset.job] ??= Date.now()
  },
  noteRows(text) {
    const { note } = window.bench
    note(text)
    new MutationObserver(() => note(text)).observe(document.body, { childList: true, subtree: true, characterData: true })
  },
}
