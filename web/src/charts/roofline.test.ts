import { expect, test } from 'vitest'
import { dotsOf, logMarks, nearestDot, partOf, planeOf, roofAt } from './roofline.ts'

const line = (label: string, ...values: (number | null)[]) => ({ label, mean: 0, values })

test('a dot needs both metrics of the same node at the same time', () => {
  const flops = [line('b', 4e9, null, 0, 8e9), line('a', 1e9)]
  const bandwidth = [line('a', 2e9), line('b', 2e9, 1e9, 1e9, null)]
  expect(dotsOf(flops, bandwidth, 60)).toEqual([
    { host: 'b', at: 0, rate: 4e9, intensity: 2 },
    { host: 'a', at: 0, rate: 1e9, intensity: 0.5 },
  ])
})

test('the plane holds dots and roofs, also without one of them', () => {
  const roofs = { scalar: 1e11, simd: 2e12, bandwidth: 2e11 }
  expect(planeOf([{ host: 'a', at: 0, rate: 3e9, intensity: 0.05 }], roofs)).toEqual({ left: -2, right: 2, bottom: 9, top: 13 })
  const none = planeOf([], { scalar: 0, simd: 0, bandwidth: 0 })
  expect(Object.values(none).every(Number.isFinite)).toBe(true)
})

test('the roof rises with the bandwidth up to the peak', () => {
  expect([roofAt(1, 1e12, 2e11), roofAt(100, 1e12, 2e11), roofAt(1, 1e12, 0)]).toEqual([2e11, 1e12, 1e12])
})

test('the nearest dot is found within reach, also in a part of the plane', () => {
  const dot = { host: 'a', at: 0, rate: 1e10, intensity: 1 }
  const plane = { left: -1, right: 1, bottom: 9, top: 11 }
  expect(nearestDot([dot], plane, 0.52, 0.5, 0.05)).toBe(dot)
  expect(nearestDot([dot], plane, 0.7, 0.5, 0.05)).toBeNull()
  expect(partOf(plane, { x: 0.5, y: 1 }, { x: 0, y: 0.5 })).toEqual({ left: -1, right: 0, bottom: 10, top: 11 })
})

test('few powers of ten get marks between them', () => {
  expect(logMarks(-1, 3)).toEqual([0.1, 1, 10, 100, 1000])
  expect(logMarks(0, 1)).toEqual([1, 2, 5, 10])
})
