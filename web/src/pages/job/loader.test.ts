import { expect, test } from 'vitest'
import { plotsAddress, readPlots } from './loader.ts'

const at = (query: string) => new URL(`http://site/monitoring/job/7${query}`)

test.each(['', '?t=60-120.5', '?scope=core&host=f0101&host=f0102%2F3&axis=clock&maps=0', '?other=1&t=0-3600&maps=1'])(
  'the plots of %s are written as they are read',
  (query) => {
    expect(plotsAddress(at(query), readPlots(at(query)))).toBe(`/monitoring/job/7${query}`)
  },
)

test.each(['?t=120-60', '?t=a-b', '?t=60', '?scope=rack', '?axis=moon', '?t=-5-6'])('%s is ignored', (query) => {
  expect(plotsAddress(at(query), readPlots(at(query)))).toBe('/monitoring/job/7')
})
