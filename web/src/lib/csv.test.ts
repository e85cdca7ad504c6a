import { expect, test } from 'vitest'
import { csv } from './csv.ts'

test('cells are quoted where they must be, numbers are bare, and formulas are texts', () => {
  const rows = [
    ['Time (s)', 'f"1"', 'a,b'],
    [60, -1.5, null],
    ['=HYPERLINK("x")', Number.NaN, 'two\nlines'],
  ]
  expect(csv(rows)).toBe('Time (s),"f""1""","a,b"\r\n60,-1.5,\r\n"\'=HYPERLINK(""x"")",,"two\nlines"\r\n')
})
