/** The shared worker: one event stream for all tabs, since a browser opens only six connections to a host. */

import type { Asked, Said } from './protocol.ts'
import { Source } from './source.ts'

const ports = new Set<MessagePort>()

const source = new Source((said: Said) => {
  for (const port of ports) port.postMessage(said)
})

function take(port: MessagePort, asked: Asked): void {
  switch (asked.type) {
    case 'follow':
      ports.add(port)
      port.postMessage({ type: 'status', status: source.status } satisfies Said)
      source.follow(asked.url, asked.kinds)
      break
    case 'restart':
      source.restart()
      break
    case 'leave':
      ports.delete(port)
  }
}

addEventListener('connect', (event) => {
  const port = (event as MessageEvent).ports[0]
  if (!port) return
  port.onmessage = (message: MessageEvent<Asked>) => {
    take(port, message.data)
  }
})
