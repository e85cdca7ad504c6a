/** What is wrong with a site, from two looks at it. */

import type { ClusterStatus, ServiceStatus, SiteStatus, StreamStatus } from '../../api/status.ts'
import { count } from '../../lib/formats/number.ts'
import * as texts from '../../texts/en.ts'
import { about, percent, share } from './fill.ts'

const words = texts.pipeline.problems
const NEARLY_FULL = 0.9

/** One sentence each, with the way out. A lag is trouble only if nothing was read between the two looks. */
export function problems(before: SiteStatus | null, now: SiteStatus): string[] {
  if (now.broker !== 'ok') return [words.broker(now.broker), ...storeProblems(before, now)]
  const earlier = new Map(before?.streams.map((stream) => [stream.name, stream]))
  const found = now.streams.flatMap((stream) => (stream.messages === null ? [words.noStream(stream.name)] : []))
  for (const stream of now.streams) found.push(...boundProblems(stream), ...streamProblems(earlier.get(stream.name), stream))
  return [...found, ...serviceProblems(now.services), ...clusterProblems(now.clusters), ...storeProblems(before, now)]
}

/** What the limits of a stream will cost soon. A ring that drops what was read is no trouble; a log that drops its begin is. */
function boundProblems(now: StreamStatus): string[] {
  const used = share(now) ?? 0
  const isLog = kindOf(now.name) === 'EVENTS'
  const found: string[] = []
  if (used >= NEARLY_FULL && now.refusesWhenFull) found.push(words.refuses(now.name, percent(used)))
  else if (used >= NEARLY_FULL && isLog) found.push(words.removes(now.name, percent(used)))
  for (const { name, unreadS } of now.queues) {
    const isOld = unreadS !== null && now.maxAgeS !== null && unreadS > now.maxAgeS / 2
    if (isOld) found.push(words.unread(name, about(unreadS), about(now.maxAgeS ?? 0)))
  }
  return found
}

function streamProblems(before: StreamStatus | undefined, now: StreamStatus): string[] {
  if (!before) return []
  const found = before.lag && now.lag && before.position === now.position ? [words.reader(now.name, count(now.lag))] : []
  for (const queue of now.queues) {
    const earlier = before.queues.find(({ name }) => name === queue.name)
    const isStill = earlier && earlier.waiting > 0 && queue.waiting >= earlier.waiting && queue.inWork === 0 && earlier.inWork === 0
    if (isStill) found.push(words.queue(queue.name, count(queue.waiting)))
  }
  return found
}

/** A silent process is trouble only if no other one of its service is there: it may have been replaced. */
function serviceProblems(services: ServiceStatus[]): string[] {
  const isThere = new Set(services.filter(({ state }) => state === 'ready' || state === 'unready').map(({ service }) => service))
  return services.flatMap(({ service, process, state, isCertain, ageS, problems: why }) => {
    if (state === 'unready') return [words.unready(service, process ?? '', reasons(why))]
    if (state === 'ready' || !isCertain || isThere.has(service)) return []
    return [state === 'silent' ? words.silent(service, about(ageS ?? 0)) : words.unheard(service)]
  })
}

const clusterProblems = (clusters: ClusterStatus[]): string[] =>
  clusters.flatMap(({ name, lastNodes, isSilent }) =>
    isSilent && lastNodes !== null ? [words.silentCluster(name, about(Date.now() / 1000 - lastNodes))] : [],
  )

export const reasons = (found: Record<string, string>): string =>
  Object.entries(found)
    .map(([name, why]) => `${name}: ${why}`)
    .join('; ')

function storeProblems(before: SiteStatus | null, now: SiteStatus): string[] {
  return now.metricStores.flatMap(({ address, error, state }) => {
    if (!state) return [words.store(address, error ?? '')]
    const earlier = before?.metricStores.find((store) => store.address === address)?.state
    const isStill = earlier?.lag && state.lag && earlier.position === state.position
    return [
      ...(isStill ? [words.storeLag(address, count(state.lag ?? 0))] : []),
      ...(state.expired > 0 ? [words.expired(address, count(state.expired))] : []),
    ]
  })
}

/** The kind of a stream, whose name may have the prefix of the site. */
export const kindOf = (name: string): string => /[A-Z]+$/.exec(name)?.[0] ?? name
