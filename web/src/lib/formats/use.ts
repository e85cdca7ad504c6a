/** What jobs used, as texts. */

import { count, significant } from './number.ts'

/** The share of measured hours that was not idle, null without a measurement. */
export const busyShare = (measured: number, idle: number): number | null => (measured > 0 ? 1 - idle / measured : null)

export const percent = (share: number): string => `${significant(share * 100)} %`

/** `12 %` more or less than before, `±0 %`; empty when there is nothing to compare with. */
export function change(now: number, before: number): string {
  if (!before) return ''
  const percents = Math.round((now / before - 1) * 100)
  return percents > 0 ? `+${count(percents)} %` : percents < 0 ? `−${count(-percents)} %` : '±0 %'
}

/** Energy in kWh with a unit that needs at most four digits. */
export function energyText(kWh: number): string {
  const units = ['kWh', 'MWh', 'GWh']
  let step = 0
  while (kWh >= 10_000 && step < units.length - 1) {
    kWh /= 1000
    step += 1
  }
  return `${significant(kWh)} ${units[step] ?? ''}`
}

/** Hours, of which fractions count only where they are few. */
export const hoursText = (hours: number): string => `${significant(hours)} h`
