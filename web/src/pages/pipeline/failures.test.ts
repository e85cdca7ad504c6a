import { expect, test } from 'vitest'
import type { ArchivingFailures } from '../../api/archiving.ts'
import { Failures } from './failures.svelte.ts'

const some = (...ids: number[]): ArchivingFailures => ({
  count: ids.length,
  failures: ids.map((id) => ({ id, jobId: id, cluster: 'fritz', user: 'ana', startTime: 1, isOverdue: false, reason: 'full' })),
})

test('a second attempt is asked for once, and the list is read again', async () => {
  const asked: number[][] = []
  let left = [3, 2, 1]
  const failures = new Failures({
    archivingFailures: () => Promise.resolve(some(...left)),
    archiveAgain: (ids) => {
      asked.push(ids)
      left = left.filter((id) => !ids.includes(id))
      return Promise.resolve(ids.length)
    },
  })
  await failures.look()
  await Promise.all([failures.retry([2]), failures.retry([3])])
  expect([asked, failures.requested, failures.found?.failures.map(({ id }) => id)]).toEqual([[[2]], 1, [3, 1]])
})

test('a refusal is told, and what is shown stays', async () => {
  const failures = new Failures({
    archivingFailures: () => Promise.resolve(some(1)),
    archiveAgain: () => Promise.reject(new Error('the broker is away')),
  })
  await failures.look()
  await failures.retry([1])
  expect([failures.failure, failures.requested, failures.found?.count, failures.isBusy]).toEqual(['the broker is away', null, 1, false])
})

test('an answer that was overtaken is not shown', async () => {
  const answers: ((found: ArchivingFailures) => void)[] = []
  const failures = new Failures({
    archivingFailures: () => new Promise((resolve) => answers.push(resolve)),
    archiveAgain: () => Promise.resolve(0),
  })
  const looks = [failures.look(), failures.look()]
  answers[1]?.(some())
  answers[0]?.(some(1))
  await Promise.all(looks)
  expect(failures.found?.count).toBe(0)
})
