import type { Range } from './filters.ts'

/** `>2`, `<8`, `2-8`, or `4` for exactly that; null for anything else, and for 0, which is an open end. */
export function typedRange(text: string, parse: (text: string) => number | null): Range | null {
  const [, sign = '', first = '', last] = /^([<>]=?)?([^-]+)(?:-(.+))?$/.exec(text) ?? []
  const from = parse(first)
  const to = last === undefined ? from : parse(last)
  if (from === null || to === null || (sign && last !== undefined)) return null
  if (sign) return from ? (sign.startsWith('>') ? { from, to: 0 } : { from: 0, to }) : null
  return to && from <= to ? { from, to } : null
}
