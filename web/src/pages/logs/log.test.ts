import { expect, test } from 'vitest'
import type { LogEntry, LogQuery } from '../../api/logs.ts'
import { logAddress, readLog } from './loader.ts'
import { Log } from './log.svelte.ts'

test('an address holds what is asked of the log', () => {
  for (const query of ['', '?since=7+days+ago&lines=1000&level=3&search=job+1.5']) {
    expect(logAddress(readLog(new URL(`monitoring/logs${query}`, 'http://site/')))).toBe(`monitoring/logs${query}`)
  }
  expect(logAddress(readLog(new URL('http://site/?since=yesterday&lines=7&level=9&search=%3Cb%3E')))).toBe('monitoring/logs')
})

const entry = (message: string): LogEntry => ({ timestamp: '1', priority: 6, message, unit: 'u' })
const QUERY: LogQuery = { since: '1 hour ago', lines: 100, level: null, search: '' }

test('entries are shown newest first and stay after a failure; a later question wins', async () => {
  const answers: Promise<LogEntry[]>[] = [Promise.resolve([entry('a'), entry('b')]), Promise.reject(new Error('no journal'))]
  const log = new Log({ logEntries: () => answers.shift() ?? Promise.reject(new Error('too often')) })
  await log.load(QUERY)
  expect(log.entries?.map(({ message }) => message)).toEqual(['b', 'a'])
  await log.load(QUERY)
  expect([log.failure, log.entries?.length]).toEqual(['no journal', 2])
  let answer: (entries: LogEntry[]) => void = () => undefined
  answers.push(new Promise((resolve) => (answer = resolve)), Promise.resolve([entry('later')]))
  const first = log.load(QUERY)
  await log.load(QUERY)
  answer([entry('earlier')])
  await first
  expect([log.failure, log.entries?.map(({ message }) => message), log.isLoading]).toEqual(['', ['later'], false])
})
