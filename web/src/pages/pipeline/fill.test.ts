import { expect, test } from 'vitest'
import type { StreamStatus } from '../../api/status.ts'
import { about, fill } from './fill.ts'

const stream = (changes: Partial<StreamStatus>): StreamStatus => ({
  name: 'EVENTS',
  lastSequence: 90,
  messages: 90,
  position: 90,
  lag: 0,
  sizeBytes: 1,
  maxBytes: null,
  refusesWhenFull: false,
  oldest: null,
  maxAgeS: null,
  queues: [],
  ...changes,
})

test.each([
  [
    stream({ name: 'INTAKE', sizeBytes: 3.2e9, maxBytes: 1e10, oldest: 1000, maxAgeS: 2_592_000 }),
    'Keeps 3.20 GB of 10.0 GB (32 %). The oldest message is 4 h old; messages leave after 30 days.',
  ],
  [
    stream({ sizeBytes: 812, oldest: 15_340 }),
    'Keeps 812 B, without a limit of its own. The oldest message is 60 s old; messages stay forever.',
  ],
  [
    stream({ sizeBytes: 8.5e6, maxBytes: 4.29e9, oldest: 15_340, maxAgeS: 21_600 }),
    'Keeps 8.50 MB of 4.29 GB (less than 1 %). The oldest message is 60 s old; messages leave after 6 h.',
  ],
  [stream({ sizeBytes: 0, messages: 0 }), 'Is empty.'],
  [stream({ sizeBytes: null, messages: null }), ''],
])('a stream says how full it is', (given, said) => {
  expect(fill(given, 15_400_000)).toBe(said)
})

test.each([
  [59, '59 s'],
  [60, '60 s'],
  [119, '119 s'],
  [120, '2 min'],
  [7199, '120 min'],
  [7200, '2 h'],
  [172_799, '48 h'],
  [172_800, '2 days'],
])('an age of %d s is about %s', (seconds, said) => {
  expect(about(seconds)).toBe(said)
})
