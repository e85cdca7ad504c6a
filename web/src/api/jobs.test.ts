import { afterEach, expect, test, vi } from 'vitest'
import { ApiError } from './graphql.ts'
import { jobList } from './jobs.ts'

const answer = (body: unknown, status = 200) =>
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify(body), { status })))

vi.stubGlobal('document', { baseURI: 'http://site.example/tools/' })
afterEach(() => vi.restoreAllMocks())

test('ids are texts, whatever the gateway writes', async () => {
  answer({ data: { jobs: { count: 1, items: [{ id: 17, tags: [{ id: 4 }] }] } } })
  expect(await jobList({})).toEqual({ rows: [{ id: '17', tags: [{ id: '4' }] }], count: 1 })
})

test.each([
  [200, { data: null, errors: [{ message: 'no such field' }] }, 'no such field'],
  [503, { error: 'the database is unavailable' }, 'the database is unavailable'],
])('an answer %d without data is an error with its reason', async (status, body, message) => {
  answer(body, status)
  await expect(jobList({})).rejects.toThrow(new ApiError(status, message))
})
