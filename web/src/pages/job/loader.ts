/** The address of a job: what its plots show. Pure. */

import type { Span } from '../../charts/curve.ts'

export interface PlotState {
  zoom: Span | null
  /** The plots of metrics that have values at this scope show it, the others their coarsest. */
  scope: string
  /** Series that have a line in each plot. */
  hosts: string[]
  axis: 'elapsed' | 'clock'
  /** Null: for jobs with more nodes than lines. */
  maps: boolean | null
}

/** Coarse first. */
export const SCOPES = ['node', 'socket', 'memoryDomain', 'core', 'hwthread', 'accelerator']
export const MAX_PICKED = 6

export function readPlots({ searchParams: given }: URL): PlotState {
  const span = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(given.get('t') ?? '')
  const [from, to] = [Number(span?.[1]), Number(span?.[2])]
  const scope = given.get('scope') ?? ''
  const maps = given.get('maps')
  return {
    zoom: to > from ? { from, to } : null,
    scope: SCOPES.includes(scope) ? scope : 'node',
    hosts: [...new Set(given.getAll('host'))].slice(0, MAX_PICKED),
    axis: given.get('axis') === 'clock' ? 'clock' : 'elapsed',
    maps: maps === null ? null : maps === '1',
  }
}

/** The address with these plots. Parameters of others stay; what is the default is left out. */
export function plotsAddress(url: URL, { zoom, scope, hosts, axis, maps }: PlotState): string {
  const next = new URL(url)
  const given = next.searchParams
  for (const name of ['t', 'scope', 'host', 'axis', 'maps']) given.delete(name)
  if (zoom) given.set('t', `${rounded(zoom.from)}-${rounded(zoom.to)}`)
  if (scope !== 'node') given.set('scope', scope)
  for (const host of hosts) given.append('host', host)
  if (axis !== 'elapsed') given.set('axis', axis)
  if (maps !== null) given.set('maps', maps ? '1' : '0')
  return next.pathname + next.search
}

const rounded = (seconds: number) => String(Math.max(0, Math.round(seconds * 10) / 10))
