/** What histograms show of the answer of the gateway, and the filter that a choice of bars makes. */

import type { JobHistograms } from '../../../api/histograms.ts'
import type { Metric } from '../../../api/metrics.ts'
import { duration, elapsed } from '../../../lib/formats/duration.ts'
import { count, significant, tick } from '../../../lib/formats/number.ts'
import * as texts from '../../../texts/en.ts'
import type { Filters, Range } from '../filters.ts'
import { titleOf } from '../plots.ts'

/** Both ends belong to the bin, as in filters. */
export interface Bin extends Range {
  jobs: number
}

export interface Histogram {
  key: string
  title: string
  unit: string
  bins: Bin[]
  /** Jobs with larger values. */
  beyond: number
  text: (bin: Range) => string
  /** At the left end of a bin. */
  mark: (value: number) => string
  chosen: (range: Range) => Partial<Filters>
}

const WIDTHS = ['minute', 'tenMinutes', 'hour', 'halfDay', 'day'] as const
const ENOUGH = 0.98 // of the jobs lie within the bins

const sum = (bins: { count: number }[]) => bins.reduce((all, bin) => all + bin.count, 0)

/** In the finest bins that have nearly all jobs. Empty bins at the end are left out. */
export function durations(answer: JobHistograms): Histogram {
  const total = answer.others[0]?.totalJobs ?? 0
  const found = WIDTHS.map((width) => answer[width][0]?.histDuration ?? [])
  const points = found.find((one) => sum(one) >= ENOUGH * total) ?? found.at(-1) ?? []
  const width = points[0]?.value ?? 1
  const last = points.findLastIndex((point) => point.count > 0)
  const bins = points.slice(0, last + 1).map(({ value, count }) => ({ from: value - width, to: value - 1, jobs: count }))
  return {
    key: 'duration',
    title: texts.histograms.duration,
    unit: '',
    bins,
    beyond: Math.max(0, total - sum(points)),
    text: ({ from, to }) => `${duration(from)} – ${duration(to + 1)}`,
    mark: (value) => elapsed(value, width),
    chosen: (range) => ({ duration: range }),
  }
}

type Sizes = 'numNodes' | 'numAccelerators'

/** 0, 1, 2, 3–4, 5–8 and so on. */
export function sizes(key: Sizes, points: { value: number; count: number }[]): Histogram {
  const bins: Bin[] = []
  const largest = Math.max(0, ...points.map(({ value }) => value))
  if (points.some(({ value }) => value === 0)) bins.push({ from: 0, to: 0, jobs: 0 })
  for (let from = 1, to = 1; from <= largest; from = to + 1, to *= 2) bins.push({ from, to, jobs: 0 })
  for (const { value, count } of points) {
    const bin = bins.find(({ from, to }) => from <= value && value <= to)
    if (bin) bin.jobs += count
  }
  return {
    key,
    title: texts.histograms[key],
    unit: '',
    bins,
    beyond: 0,
    text: ({ from, to }) => (from === to ? count(from) : `${count(from)} – ${count(to)}`),
    mark: count,
    chosen: (range) => ({ [key]: range }),
  }
}

/** Of the metrics with a footprint; `before` are the filters that a choice is added to. */
export function footprints(answer: JobHistograms, known: ReadonlyMap<string, Metric>, before: Filters): Histogram[] {
  const others = answer.others[0]
  return (others?.histMetrics ?? []).flatMap(({ metric, stat, unit, data }) => {
    const bins = (data ?? []).map(({ from, to, count }) => ({ from, to, jobs: count }))
    if (!stat || !bins.length) return []
    const name = `${metric}_${stat}`
    const rest = (before.stat ?? []).filter((one) => one.name !== name)
    const title = titleOf(known.get(metric), metric)
    return {
      key: name,
      title: stat === 'avg' ? title : `${title} ${stat}`,
      unit,
      bins,
      beyond: 0, // jobs without the footprint cannot be told from those above the peak
      text: ({ from, to }: Range) => `${significant(from)} – ${significant(to)}`,
      mark: tick,
      chosen: (range: Range) => ({ stat: [...rest, { name, ...exact(range) }] }),
    }
  })
}

/** Addresses hold numbers of moderate length. */
const exact = ({ from, to }: Range): Range => ({ from: Number(from.toPrecision(6)), to: Number(to.toPrecision(6)) })

/** The filters with the choice of bars from one to another. */
export function withBars(filters: Filters, histogram: Histogram, first: number, last: number): Filters {
  const [from, to] = [histogram.bins[Math.min(first, last)], histogram.bins[Math.max(first, last)]]
  return from && to ? { ...filters, ...histogram.chosen({ from: from.from, to: to.to }) } : filters
}
