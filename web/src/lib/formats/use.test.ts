import { expect, it } from 'vitest'
import { busyShare, change, energyText, hoursText, percent } from './use.ts'

it.each([
  [12, 10, '+20 %'],
  [8, 10, '−20 %'],
  [10, 10, '±0 %'],
  [10, 0, ''],
])('%d after %d is %s', (now, before, text) => {
  expect(change(now, before)).toBe(text)
})

it.each([
  [0, '0 kWh'],
  [9999, '9,999 kWh'],
  [12_345, '12.3 MWh'],
  [1e8, '100 GWh'],
])('%d kWh is %s', (kWh, text) => {
  expect(energyText(kWh)).toBe(text)
})

it('shares are of what was measured', () => {
  expect(busyShare(0, 0)).toBeNull()
  expect(percent(busyShare(200, 50) ?? 0)).toBe('75.0 %')
  expect(hoursText(1234.6)).toBe('1,235 h')
})
