import { expect, test } from 'vitest'
import { isPrivate, writableScopes } from './tag-scopes.ts'

test.each([
  ['ana', [], ['ana']],
  ['ana', ['user', 'support'], ['ana', 'global']],
  ['ana', ['admin'], ['ana', 'global', 'admin']],
  ['admin', ['admin'], ['global', 'admin']],
  ['global', ['user'], []],
])('%s with the roles %j writes in each scope once', (username, roles, scopes) => {
  expect(writableScopes({ username, roles })).toEqual(scopes)
})

test('a shared scope belongs to nobody alone', () => {
  expect(['ana', 'bob', 'global', 'admin'].map((scope) => isPrivate(scope, { username: 'ana' }))).toEqual([true, false, false, false])
  expect(isPrivate('admin', { username: 'admin' })).toBe(false)
})
