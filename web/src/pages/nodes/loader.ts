/** The address of a grid of nodes. */

export interface GridState {
  /** `state`, `health` or the name of a metric. */
  by: string
  states: string[]
  /** A part of the host name. */
  host: string
}

export function readGrid(url: URL): GridState {
  const given = url.searchParams
  return { by: given.get('by') || 'state', states: [...new Set(given.getAll('state'))].filter(Boolean), host: given.get('host') ?? '' }
}

/** Relative to the base path. */
export function gridAddress(cluster: string, { by, states, host }: GridState): string {
  const parameters = new URLSearchParams(states.map((state) => ['state', state]))
  if (by !== 'state') parameters.set('by', by)
  if (host) parameters.set('host', host)
  const text = parameters.toString()
  return `monitoring/systems/${encodeURIComponent(cluster)}${text ? `?${text}` : ''}`
}

/** The page of a node, relative to the base path. */
export const nodeAddress = (cluster: string, host: string): string =>
  `monitoring/node/${encodeURIComponent(cluster)}/${encodeURIComponent(host)}`
