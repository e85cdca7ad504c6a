import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LISTS, RANGES, readFilters, SPANS, TEXTS, TIMES, writeFilters, type Filters } from './filters.ts'
import { listAddress, readList, ROWS, VIEWS } from './loader.ts'

const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
const id = fc.integer({ min: 0, max: 2 ** 40 }).map(String)
const number = fc.oneof(fc.integer({ min: 1, max: 2 ** 50 }), fc.double({ min: 1e-9, max: 1e30, noNaN: true }))
const range = fc.tuple(number, number, fc.constantFrom('from', 'to', 'both')).map(([a, b, ends]) => ({
  from: ends === 'to' ? 0 : Math.min(a, b),
  to: ends === 'from' ? 0 : Math.max(a, b),
}))
const time = fc.integer({ min: 0, max: 4_000_000_000 })
const stat = fc.record({ name: fc.stringMatching(/^[a-z][a-z0-9_-]{0,9}_(?:avg|max|min)$/), range })

const keys = <K extends string, V>(names: readonly K[], value: fc.Arbitrary<V>) =>
  Object.fromEntries(names.map((name) => [name, value])) as Record<K, fc.Arbitrary<V>>

const filters: fc.Arbitrary<Filters> = fc.record(
  {
    ...keys(TEXTS, word),
    ...keys(LISTS, fc.uniqueArray(id, { minLength: 1, maxLength: 3 })),
    user: fc.array(word, { minLength: 1, maxLength: 3 }),
    ...keys(RANGES, range),
    arrayJobId: fc.integer({ min: 1, max: 2 ** 40 }),
    userMatch: fc.constant('eq' as const),
    ...keys(['projectMatch', 'nodeMatch', 'jobIdMatch'], fc.constant('contains' as const)),
    ...keys(
      TIMES,
      fc.oneof(
        fc.constantFrom(...SPANS).map((span) => ({ range: span as string })),
        fc.record({ from: time, to: time }),
      ),
    ),
    stat: fc.array(
      stat.map(({ name, range }) => ({ name, ...range })),
      { minLength: 1, maxLength: 3 },
    ),
  },
  { requiredKeys: [] },
)

test('what is written is read back', () => {
  fc.assert(
    fc.property(filters, (given) => {
      expect(readFilters(new URLSearchParams(writeFilters(given).toString()))).toEqual(given)
    }),
  )
})

test('an address holds the whole state of a list', () => {
  const states = fc.record({
    filters,
    sort: fc.constantFrom('-startTime', 'duration', '-flops_any_avg'),
    page: fc.integer({ min: 1, max: 10_000 }),
    rows: fc.constantFrom(...ROWS),
    view: fc.constantFrom(null, ...VIEWS),
    follow: fc.boolean(),
    histograms: fc.boolean(),
  })
  fc.assert(
    fc.property(states, (state) => {
      expect(readList(new URL(listAddress(state), 'http://site/'))).toEqual(state)
    }),
  )
})
