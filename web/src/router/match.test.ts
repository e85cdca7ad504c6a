import { describe, expect, test } from 'vitest'
import { matcher, type Route } from './match.ts'

const route = (path: string): Route => ({ path, title: () => path, load: () => Promise.reject(new Error('not loaded here')) })
const ROUTES = ['/', '/monitoring/jobs/', '/monitoring/job/:id(\\d+)', '/monitoring/job/:cluster/:jobId'].map(route)

const found = (base: string, path: string) => {
  const match = matcher(ROUTES, base)(new URL(path, 'http://site.example'))
  return match && [match.route.path, match.params]
}

describe.each(['/', '/tools/jobtide/'])('below %s', (base) => {
  const at = (path: string) => found(base, base + path)

  test('a page is found with its parameters, with and without a slash at the end', () => {
    expect(at('monitoring/jobs/?state=failed')).toEqual(['/monitoring/jobs/', {}])
    expect(at('monitoring/jobs')).toEqual(['/monitoring/jobs/', {}])
    expect(at('monitoring/job/17')).toEqual(['/monitoring/job/:id(\\d+)', { id: '17' }])
    expect(at('monitoring/job/fritz/123456')).toEqual(['/monitoring/job/:cluster/:jobId', { cluster: 'fritz', jobId: '123456' }])
    expect(at('')).toEqual(['/', {}])
  })

  test('escapes in a path are decoded, broken ones stay as they are', () => {
    expect(at('monitoring/job/a%2Fb/1')).toEqual(['/monitoring/job/:cluster/:jobId', { cluster: 'a/b', jobId: '1' }])
    expect(at('monitoring/job/%E0%A4/1')).toEqual(['/monitoring/job/:cluster/:jobId', { cluster: '%E0%A4', jobId: '1' }])
  })

  test('other paths have no page', () => {
    expect(at('monitoring/job/abc')).toBeNull()
    expect(at('swagger/')).toBeNull()
  })
})
