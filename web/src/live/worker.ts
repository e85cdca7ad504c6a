/** The shared worker: one event stream for all tabs, since a browser opens only six connections to a host. */

import type { Asked, Said } from './protocol.ts'
import { Source } from './source.ts'

const ports = new Set<MessagePort>()

let user: string | undefined

const source = new Source((said: Said) => {
  for (const port of ports) port.postMessage(said)
})

function take(port: MessagePort, asked: Asked): void {
  switch (asked.type) {
    case 'follow':
      if (user !== undefined && user !== asked.user) dismiss()
      user = asked.user
      join(port, asked)
      break
    case 'restart':
      source.restart()
      break
    case 'leave':
      ports.delete(port)
  }
}

/** A tab that joins a stream may already have asked for its data, and lacks the changes that the stream has sent since. */
function join(port: MessagePort, { url, kinds, after }: Extract<Asked, { type: 'follow' }>): void {
  const isNew = !ports.has(port)
  ports.add(port)
  port.postMessage({ type: 'status', status: source.status } satisfies Said)
  const hasBegun = source.follow(url, kinds, after)
  if (isNew && !hasBegun) port.postMessage({ type: 'reset' } satisfies Said)
}

/** Nothing of the user before reaches the tabs of the next one; those of the user before load themselves again. */
function dismiss(): void {
  source.forget()
  for (const port of ports) port.postMessage({ type: 'other' } satisfies Said)
  ports.clear()
}

addEventListener('connect', (event) => {
  const port = (event as MessageEvent).ports[0]
  if (!port) return
  port.onmessage = (message: MessageEvent<Asked>) => {
    take(port, message.data)
  }
})
