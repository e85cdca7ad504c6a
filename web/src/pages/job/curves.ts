/** From the metrics of a job to what its plots show. Pure. */

import type { MetricConfig } from '../../api/metrics.ts'
import type { MetricSeries, Series } from '../../api/series.ts'
import { isEmpty, MAX_LINES, seriesText, thresholdsOf, type Curve, type Line } from '../../charts/curve.ts'
import { withUnit } from '../../lib/formats/number.ts'
import { SCOPES } from './loader.ts'

const MAX_WORST = 3

/** One curve per metric, at `scope` or at its coarsest, in the order of the configuration. */
export function curvesOf(found: MetricSeries[], configs: MetricConfig[], scope = 'node'): Curve[] {
  const order = new Map(configs.map(({ name }, index) => [name, index]))
  return atScope(found, scope)
    .sort((a, b) => (order.get(a.name) ?? order.size) - (order.get(b.name) ?? order.size))
    .map((one) => curveOf(one, configs[order.get(one.name) ?? -1]))
}

/** Each metric once: at the scope, or else at the coarsest. */
function atScope(found: MetricSeries[], scope: string): MetricSeries[] {
  const rank = (one: MetricSeries) => (one.scope === scope ? -1 : SCOPES.indexOf(one.scope))
  const byName = new Map<string, MetricSeries>()
  for (const one of found) {
    const other = byName.get(one.name)
    if (!other || rank(one) < rank(other)) byName.set(one.name, one)
  }
  return [...byName.values()]
}

/** Those of the archive, or what a metric store can give: from the node down to where the metrics are measured. */
export function offeredScopes(stored: string[], configs: MetricConfig[], accelerators: number): string[] {
  const native = new Set(configs.map(({ scope }) => scope))
  const finest = Math.max(0, ...['socket', 'memoryDomain', 'core', 'hwthread'].filter((scope) => native.has(scope)).map(rankOf))
  const possible = SCOPES.filter((scope) => (scope === 'accelerator' ? accelerators > 0 && native.has(scope) : rankOf(scope) <= finest))
  return stored.length ? SCOPES.filter((scope) => stored.includes(scope)) : possible
}

const rankOf = (scope: string) => SCOPES.indexOf(scope)

/** All series of each metric. */
export const linesOf = (found: MetricSeries[], scope: string): Map<string, Line[]> =>
  new Map(atScope(found, scope).map(({ name, metric }) => [name, (metric.series ?? []).map(lineOf)]))

const lineOf = (one: Series): Line => ({ label: labelOf(one), mean: one.statistics?.avg ?? 0, values: one.data ?? [] })

/** The curve with a line for each of the series that are chosen; without any it stays as it is. */
export function withPicked(curve: Curve, all: readonly Line[] | undefined, hosts: readonly string[]): Curve {
  if (!hosts.length) return curve
  const lines = (curve.band ? (all ?? []) : curve.lines).filter(({ label }) => isOf(label, hosts)).slice(0, MAX_LINES - 1)
  return lines.length || curve.band ? { ...curve, lines } : curve
}

/** Whether a series is one of the chosen, or part of a chosen node. */
const isOf = (label: string, hosts: readonly string[]) => hosts.some((host) => label === host || label.startsWith(`${host} `))

function curveOf({ name, scope, metric }: MetricSeries, config: MetricConfig | undefined): Curve {
  const series = metric.series ?? []
  const band = metric.statisticsSeries ?? null
  const isBand = band !== null && (series.length > MAX_LINES || series.some(({ data }) => !data))
  const lines = series.map(lineOf)
  const isHighWorst = isHighWorse(config)
  return {
    key: name,
    title: (config?.displayName ?? '') || name,
    description: config?.description ?? '',
    unit: metric.unit ?? { base: '', prefix: null },
    timestep: metric.timestep,
    lines: isBand ? [] : lines.slice(0, MAX_LINES),
    band: isBand ? { min: band.min, max: band.max, ...middleOf(band) } : null,
    thresholds: thresholdsOf(config),
    series: series.length,
    scope,
    mean: lines.reduce((sum, { mean }) => sum + mean, 0) / Math.max(1, lines.length),
    largest: Math.max(0, ...series.map(({ statistics }) => statistics?.max ?? 0)),
    worst: lines.toSorted((a, b) => (isHighWorst ? b.mean - a.mean : a.mean - b.mean)).slice(0, MAX_WORST),
    worstIs: isHighWorst ? 'highest' : 'lowest',
  }
}

const labelOf = ({ hostname, id }: Series) => (id ? `${hostname} ${id}` : hostname)

const middleOf = (band: NonNullable<MetricSeries['metric']['statisticsSeries']>) =>
  band.median.length ? { middle: band.median, middleIs: 'median' as const } : { middle: band.mean, middleIs: 'mean' as const }

/** Also where the alert is above the caution, as for memory. */
const isHighWorse = (config: MetricConfig | undefined) => !!config && (!!config.lowerIsBetter || config.alert > config.caution)

/** For those who do not see the map. */
export function mapSentence(curve: Curve, jobId: number): string {
  const first = curve.worst[0]
  const worst = first ? `, ${curve.worstIs} ${first.label} with a mean of ${withUnit(first.mean, curve.unit)}` : ''
  return `Map of ${curve.title} of job ${String(jobId)}: ${seriesText(curve)} over time, up to ${withUnit(curve.largest, curve.unit)}${worst}`
}

/** The configured metrics that have no curve. */
export const missingOf = (curves: Curve[], configs: MetricConfig[]): string[] =>
  configs.map(({ name }) => name).filter((name) => !curves.some(({ key }) => key === name))

/** For those who do not see the plot. */
export function sentence(curve: Curve, jobId: number): string {
  const value = (of: number) => withUnit(of, curve.unit)
  const start = `${curve.title} of job ${String(jobId)}: `
  if (isEmpty(curve)) return `${start}no samples`
  const parts = [`mean ${value(curve.mean)}`, `largest ${value(curve.largest)}`, seriesText(curve)]
  const worst = curve.worst[0]
  if (worst && curve.series > 1) parts.push(`${curve.worstIs} ${worst.label} with a mean of ${value(worst.mean)}`)
  return start + parts.join(', ')
}
