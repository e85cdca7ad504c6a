import { expect, test } from 'vitest'
import { ruleTitle, tagTitle, useRuleTitles } from './rule-titles.ts'

test('rules and their tags have titles, unknown ones their tag in words', () => {
  useRuleTitles({ lowload: 'Low CPU load' })
  expect(['lowload', 'our_own-rule', 'toString'].map(ruleTitle)).toEqual(['Low CPU load', 'our own rule', 'toString'])
  expect(tagTitle({ type: 'jobClass', name: 'lowload' })).toBe('Low CPU load')
  expect(tagTitle({ type: 'app', name: 'lowload' })).toBe('app: lowload')
})
