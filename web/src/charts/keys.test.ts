import { expect, test } from 'vitest'
import { movedTo, zoomedTo, type Extent } from './keys.ts'

const hour: Extent = { samples: 61, timestep: 60, zoom: null }

test.each([
  ['ArrowRight', false, null, 0],
  ['ArrowLeft', false, null, 3600],
  ['ArrowRight', false, 60, 120],
  ['ArrowRight', true, 60, 660],
  ['ArrowLeft', true, 60, 0],
  ['ArrowRight', false, 3600, 3600],
  ['Home', false, 600, 0],
  ['End', false, 600, 3600],
  ['x', false, 600, undefined],
] as const)('%s (Shift: %s) at %s leads to %s', (key, isWide, at, goal) => {
  expect(movedTo(key, isWide, at, hour)).toBe(goal)
})

test('the cursor stays within the zoom', () => {
  const zoomed = { ...hour, zoom: { from: 590, to: 1230 } }
  expect(movedTo('Home', false, null, zoomed)).toBe(600)
  expect(movedTo('ArrowRight', true, 1000, zoomed)).toBe(1200)
})

test.each([
  ['+', null, null, { from: 900, to: 2700 }],
  ['+', 0, null, { from: 0, to: 1800 }],
  ['-', null, { from: 900, to: 2700 }, null],
  ['-', 1200, { from: 1080, to: 1320 }, { from: 960, to: 1440 }],
  ['+', null, { from: 0, to: 120 }, { from: 0, to: 120 }],
  ['0', null, { from: 0, to: 120 }, null],
  ['t', null, null, undefined],
] as const)('%s at %s in %j zooms to %j', (key, at, zoom, goal) => {
  expect(zoomedTo(key, at, { ...hour, zoom })).toEqual(goal)
})
