import { beforeEach, describe, expect, test, vi } from 'vitest'
import { Source } from './source.ts'

const opened: FakeEvents[] = []

class FakeEvents extends EventTarget {
  static readonly CLOSED = 2
  readonly url: URL
  constructor(url: URL) {
    super()
    this.url = new URL(url)
    opened.push(this)
  }
  close(): void {
    return undefined
  }
  send(name: string, id: string): void {
    this.dispatchEvent(Object.assign(new Event(name), { data: '{"id":1}', lastEventId: id }))
  }
}

const after = () => opened.at(-1)?.url.searchParams.get('last-event-id')

describe('a stream of changes', () => {
  let source: Source

  beforeEach(() => {
    opened.length = 0
    vi.useFakeTimers()
    vi.stubGlobal('EventSource', FakeEvents)
    source = new Source(() => undefined)
  })

  test('continues after the cursor of the page that begins it', () => {
    expect(source.follow('http://site/api/events/', ['job'], '7-0-a')).toBe(true)
    expect(after()).toBe('7-0-a')
  })

  test('continues after its last event when it gets another kind, and reports that it had begun before', () => {
    source.follow('http://site/api/events/', ['job'], '7-0-a')
    opened[0]?.send('job', '9-0-a')
    expect(source.follow('http://site/api/events/', ['node'], '8-0-a')).toBe(false)
    expect(opened).toHaveLength(2)
    expect(after()).toBe('9-0-a')
  })

  test('stays open for another tab, which is told that it joined', () => {
    source.follow('http://site/api/events/', ['job'], '7-0-a')
    expect(source.follow('http://site/api/events/', ['job'], '9-0-a')).toBe(false)
    expect(opened).toHaveLength(1)
  })

  test('begins anew for another user', () => {
    source.follow('http://site/api/events/', ['job'], '7-0-a')
    source.forget()
    expect(source.follow('http://site/api/events/', ['job'], '9-0-a')).toBe(true)
    expect(after()).toBe('9-0-a')
  })
})
