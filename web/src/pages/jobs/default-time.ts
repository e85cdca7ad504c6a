/** Pages over many jobs have a range of start times of their own where the address names none; there `startTime=0-0` means any time. */

import type { Filters, TimeSpan } from './filters.ts'

/** The filters that hold, from those of the address. */
export function filled(filters: Filters, span: TimeSpan): Filters {
  const { startTime, ...rest } = filters
  if (!startTime) return { ...rest, startTime: span }
  return 'range' in startTime || startTime.from || startTime.to ? filters : rest
}

/** The filters of the address, from those that hold. */
export function spelled(filters: Filters, span: TimeSpan): Filters {
  const { startTime, ...rest } = filters
  if (!startTime) return { ...rest, startTime: { from: 0, to: 0 } }
  return JSON.stringify(startTime) === JSON.stringify(span) ? rest : filters
}
