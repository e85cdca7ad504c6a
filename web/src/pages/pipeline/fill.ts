/** How much a stream keeps, and for how long, in words. */

import type { StreamStatus } from '../../api/status.ts'
import { withUnit } from '../../lib/formats/number.ts'
import * as texts from '../../texts/en.ts'

const words = texts.pipeline.fill

export const bytes = (value: number): string => withUnit(value, { base: 'B', prefix: '' })

/** The share of its own limit that a stream uses; null without a limit. */
export const share = ({ sizeBytes, maxBytes }: StreamStatus): number | null =>
  sizeBytes !== null && maxBytes ? sizeBytes / maxBytes : null

export const percent = (value: number): string => (value > 0 && value < 0.005 ? words.little : `${String(Math.round(value * 100))} %`)

/** The age of the oldest message in seconds, by the clock of the browser. */
export const age = ({ oldest }: StreamStatus, nowMs: number): number | null => (oldest === null ? null : Math.max(0, nowMs / 1000 - oldest))

/** Sentences, or nothing about a stream that is not there. */
export function fill(stream: StreamStatus, nowMs: number): string {
  if (stream.sizeBytes === null) return ''
  const oldest = age(stream, nowMs)
  if (oldest === null) return words.empty
  const used = share(stream)
  const size = bytes(stream.sizeBytes)
  return [
    used === null ? words.free(size) : words.bound(size, bytes(stream.maxBytes ?? 0), percent(used)),
    words.oldest(about(oldest), stream.maxAgeS === null ? null : about(stream.maxAgeS)),
  ].join(' ')
}

/** An age in one unit, as people say it. */
export function about(seconds: number): string {
  if (seconds < 120) return `${String(Math.round(seconds))} s`
  if (seconds < 7200) return `${String(Math.round(seconds / 60))} min`
  if (seconds < 172_800) return `${String(Math.round(seconds / 3600))} h`
  return `${String(Math.round(seconds / 86_400))} days`
}
