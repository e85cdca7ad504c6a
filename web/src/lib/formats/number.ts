/** Numbers with one rule for prefixes: values of a unit get one of the prefixes of their family, so that three digits stand before the point. */

export interface MetricUnit {
  base: string
  prefix: string | null
}

const PREFIXES: Record<string, number> = { '': 0, K: 3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18, m: -3, u: -6, µ: -6, n: -9 }
const BY_EXPONENT: Record<number, string> = { [-9]: 'n', [-6]: 'µ', [-3]: 'm', 0: '', 3: 'k', 6: 'M', 9: 'G', 12: 'T', 15: 'P', 18: 'E' }
const SCALED = /^(B|F|W|Hz|J|b|packets)/

const grouped = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })

export const count = (value: number): string => grouped.format(value)

/** Three significant digits, without an exponent: `0.0123`, `4.56`, `78.9`, `1,234`. */
export function significant(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 99.95) return grouped.format(value)
  if (size >= 9.995) return value.toFixed(1)
  if (size >= 0.9995) return value.toFixed(2)
  return String(Number(value.toPrecision(3)))
}

/**
 * The unit in which values up to `largest` have at most three digits before the point, and the factor that leads to it. Bytes, flops,
 * watts and rates change their prefix; counts and shares do not.
 */
export function scaled(largest: number, unit: MetricUnit | undefined): { factor: number; unit: string } {
  const prefix = unit?.prefix ?? ''
  const base = unit?.base ?? ''
  if (!SCALED.test(base) || largest === 0 || !Number.isFinite(largest)) return { factor: 1, unit: prefix + base }
  const own = PREFIXES[prefix] ?? 0
  const exponent = Math.log10(Math.abs(largest)) + own
  const step = Math.max(-9, Math.min(18, Math.floor((exponent + 0.0002) / 3) * 3))
  return { factor: 10 ** (own - step), unit: `${BY_EXPONENT[step] ?? ''}${base}` }
}

/** From the unit to the one without a prefix. */
export const baseFactor = (unit: MetricUnit | undefined): number => 10 ** (PREFIXES[unit?.prefix ?? ''] ?? 0)

/** A value with its unit. */
export function withUnit(value: number | null, unit: MetricUnit | undefined): string {
  if (value === null || !Number.isFinite(value)) return '–'
  const { factor, unit: shown } = scaled(value, unit)
  return `${significant(value * factor)} ${shown}`.trimEnd()
}

const ticks = new Intl.NumberFormat('en-GB', { maximumSignificantDigits: 4 })

/** A number at an axis, without superfluous zeros. */
export const tick = (value: number): string => ticks.format(value)
