import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { asQuery } from './filters-as-query.ts'
import { readFilters } from './filters.ts'

type Query = ReturnType<typeof asQuery>[number]

/** Links as cc-backend 1.5 writes them, and the filter each must give; tests/gateway/rest/test_bookmarks.py compares the jobs. */
const file = new URL('../../../../tests/data/bookmarks.json', import.meta.url)
const BOOKMARKS = JSON.parse(readFileSync(file, 'utf8')) as [string, Query | null][]

describe('links of cc-backend ask for the same jobs', () => {
  test('sixty of them', () => {
    expect(BOOKMARKS.length).toBeGreaterThan(60)
  })

  test.each(BOOKMARKS)('%s', (text, query) => {
    expect(asQuery(readFilters(new URLSearchParams(text)))).toEqual(query ? [query] : [])
  })
})
