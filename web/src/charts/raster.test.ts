import { describe, expect, test } from 'vitest'
import { colourOf } from './cividis.ts'
import { MAX_ROWS, pixels, rasterOf, sampleAt, valueAt } from './raster.ts'

const line = (label: string, ...values: (number | null)[]) => ({ label, mean: Math.max(0, ...values.map((value) => value ?? 0)), values })

describe('a raster', () => {
  test('has its rows by name, with numbers in their order, or by value', () => {
    const lines = [line('f10', 5), line('f9', 1), line('f2', 3)]
    expect(rasterOf(lines, 60, 'name').labels).toEqual(['f2', 'f9', 'f10'])
    expect(rasterOf(lines, 60, 'value').labels).toEqual(['f10', 'f2', 'f9'])
  })

  test('keeps missing samples apart from 0, also behind the end of a short series', () => {
    const raster = rasterOf([line('a', 0, null, 4), line('b', 2)], 60, 'name')
    expect([0, 1, 2].map((sample) => valueAt(raster, 0, sample))).toEqual([0, null, 4])
    expect([0, 1].map((sample) => valueAt(raster, 1, sample))).toEqual([2, null])
    const drawn = pixels(raster)
    expect([drawn[3], drawn[7], drawn[11]]).toEqual([255, 0, 255])
    expect([...drawn.slice(8, 11)]).toEqual(colourOf(1))
  })

  test('merges neighbours into rows of their means above the limit', () => {
    const lines = Array.from({ length: 2 * MAX_ROWS }, (_, row) => line(`n${String(row)}`, row % 2 ? 4 : 2))
    const raster = rasterOf(lines, 60, 'name')
    expect([raster.labels.length, raster.labels[0], valueAt(raster, 0, 0)]).toEqual([MAX_ROWS, 'n0 – n1', 3])
  })

  test.each([
    [null, null],
    [-40, null],
    [29, 0],
    [31, 1],
    [149, 2],
    [151, null],
  ])('at %s seconds of three minutes is the sample %s', (at, sample) => {
    const found = sampleAt({ samples: 3, timestep: 60 }, at)
    expect(found === null ? found : found + 0).toBe(sample)
  })
})
