import { expect, test, vi } from 'vitest'
import { keys, type Key } from './keys.svelte.ts'

const press = (key: string, options: Partial<KeyboardEvent> = {}) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  defaultPrevented: false,
  ...options,
})
const key = (name: string): Key => ({ key: name, label: name, run: vi.fn() })

test('the key of a page goes before that of the frame, and is forgotten with the page', () => {
  const [frame, page] = [key('n'), key('n')]
  const leaveFrame = keys.register([frame])
  const leave = keys.register([page])
  expect(keys.find(press('n'), false, false)).toBe(page)
  leave()
  expect(keys.find(press('n'), false, false)).toBe(frame)
  leaveFrame()
  expect(keys.find(press('n'), false, false)).toBeUndefined()
})

test('letters belong to a field that has the focus, and to a dialog that is open', () => {
  const leave = keys.register([key('/'), key('Ctrl+k')])
  expect(keys.find(press('/'), true, false)).toBeUndefined()
  expect(keys.find(press('/'), false, true)).toBeUndefined()
  expect(keys.find(press('K', { metaKey: true }), true, false)?.key).toBe('Ctrl+k')
  expect(keys.find(press('k'), false, false)).toBeUndefined()
  expect(keys.find(press('/', { altKey: true }), false, false)).toBeUndefined()
  leave()
})

test('a key that belongs to what has the focus is only listed', () => {
  const leave = keys.register([{ ...key('Enter'), isLocal: true }])
  expect(keys.all.map((one) => one.key)).toContain('Enter')
  expect(keys.find(press('Enter'), false, false)).toBeUndefined()
  leave()
})
