import { expect, test } from 'vitest'
import { only } from './documents.ts'

const TEXT = `query First { a { ...Part } }

query Second { b }

fragment Part on A { c ...More }
fragment More on A { d }
`

test('an operation is sent with its fragments and without other operations', () => {
  expect(only(TEXT, 'First')).toBe('query First { a { ...Part } } fragment Part on A { c ...More } fragment More on A { d }')
  expect(only(TEXT, 'Second')).toBe('query Second { b }')
})

test('a name that no document has is an error at start', () => {
  expect(() => only(TEXT, 'Third')).toThrow('no Third')
})
