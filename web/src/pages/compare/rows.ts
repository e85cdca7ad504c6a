/** The table of differences. Pure. */

import type { ComparedJob, Statistics } from '../../api/compare.ts'
import type { Metric, MetricConfig } from '../../api/metrics.ts'
import { duration } from '../../lib/formats/duration.ts'
import { count, significant, withUnit } from '../../lib/formats/number.ts'
import { ruleTitle } from '../../lib/rule-titles.ts'
import * as texts from '../../texts/en.ts'

export interface Cell {
  text: string
  /** To the baseline in per cent, if both are numbers. */
  change?: number
  isDifferent: boolean
}

export interface Row {
  label: string
  cells: Cell[]
  isNumber: boolean
  /** What a larger number means. */
  more?: 'better' | 'worse'
}

export interface Section {
  title: string
  rows: Row[]
}

type Value = string | number | null

function row(label: string, values: Value[], show: (value: number) => string, more?: Row['more']): Row {
  const base = values[0]
  const cells = values.map((value) => cell(value, base ?? null, show))
  return { label, cells, isNumber: values.some((value) => typeof value === 'number'), ...(more ? { more } : {}) }
}

function cell(value: Value, base: Value, show: (value: number) => string): Cell {
  const isDifferent = value !== base
  if (typeof value !== 'number') return { text: value ?? '–', isDifferent }
  const text = show(value)
  if (typeof base !== 'number' || base === 0 || !isDifferent) return { text, isDifferent }
  return { text, isDifferent, change: ((value - base) / Math.abs(base)) * 100 }
}

const known = (value: number) => value || null // 0 is not known
const waited = ({ submitTime, startTime }: ComparedJob) => (submitTime ? (Date.parse(startTime) - Date.parse(submitTime)) / 1000 : null)

export function settings(jobs: ComparedJob[]): Section[] {
  const text = (label: string, of: (job: ComparedJob) => string) => row(label, jobs.map(of), String)
  const number = (label: string, of: (job: ComparedJob) => number | null, show: (value: number) => string = count) =>
    row(label, jobs.map(of), show)
  const { rows } = texts.compare
  return [
    {
      title: texts.compare.settings,
      rows: [
        text(rows.name, (job) => job.jobName ?? ''),
        text(rows.user, (job) => job.user),
        text(rows.project, (job) => job.project),
        text(rows.cluster, (job) => `${job.cluster} ${job.subCluster}`),
        text(rows.partition, (job) => job.partition),
        text(rows.state, (job) => job.state.replaceAll('_', ' ')),
        text(rows.shared, (job) => job.shared.replaceAll('_', ' ')),
        text(rows.advice, (job) => job.advice.map(({ rule }) => ruleTitle(rule)).join(', ') || rows.none),
      ],
    },
    {
      title: texts.compare.resources,
      rows: [
        number(rows.nodes, (job) => job.numNodes),
        number(rows.threads, (job) => job.numHWThreads),
        number(rows.accelerators, (job) => job.numAcc),
        number(rows.smt, (job) => known(job.SMT)),
        number(
          rows.memory,
          (job) => known(job.requestedMemory),
          (value) => withUnit(value, { base: 'B', prefix: 'M' }),
        ),
      ],
    },
    {
      title: texts.compare.time,
      rows: [
        number(rows.duration, (job) => job.duration, duration),
        number(rows.limit, (job) => known(job.walltime), duration),
        number(rows.waited, waited, duration),
        number(
          rows.energy,
          (job) => known(job.energy),
          (value) => `${significant(value)} kWh`,
        ),
      ],
    },
  ]
}

const meaning = (config: MetricConfig | undefined): Row['more'] =>
  config && (config.lowerIsBetter ? 'worse' : config.alert > config.caution ? 'worse' : 'better')

/** Mean, and below it minimum and maximum, of every metric that one of the jobs has. */
export function statistics(
  jobs: ComparedJob[],
  found: ReadonlyMap<string, Statistics>,
  metrics: ReadonlyMap<string, Metric>,
  configs: MetricConfig[],
): Section {
  const names = [...new Set(jobs.flatMap(({ id }) => (found.get(id) ?? []).map(({ name }) => name)))].toSorted()
  const rows = names.flatMap((name) => {
    const of = jobs.map(({ id }) => found.get(id)?.find((one) => one.name === name)?.data)
    if (!of.some((data) => data && (data.max !== 0 || data.min !== 0))) return []
    const more = meaning(configs.find((config) => config.name === name))
    const show = (value: number) => withUnit(value, metrics.get(name)?.unit)
    return [
      row(
        name,
        of.map((data) => data?.avg ?? null),
        show,
        more,
      ),
      row(
        `${name} ${texts.compare.largest}`,
        of.map((data) => data?.max ?? null),
        show,
        more,
      ),
    ]
  })
  return { title: texts.compare.statistics, rows }
}

/** Those that have a difference. */
export const different = (sections: Section[]): Section[] =>
  sections
    .map((section) => ({ ...section, rows: section.rows.filter(({ cells }) => cells.some(({ isDifferent }) => isDifferent)) }))
    .filter(({ rows }) => rows.length)
