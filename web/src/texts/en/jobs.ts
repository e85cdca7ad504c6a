/** What the job list says. */
export const jobs = {
  title: 'Jobs',
  count: (text: string) => `${text} in total`,
  newer: (number: number, most: number) => `${String(number)}${number < most ? '' : '+'} new`,
  newerKey: 'Show the new jobs',
  follow: 'Follow',
  followHint: 'Show new jobs by themselves',
  outdated: 'The rows are those of the view before.',
  columns: 'Columns',
  histograms: 'Histograms',
  search: 'Search jobs',
  searchHint: 'user:ana state:failed node:f0101 >2h …',
  state: 'State',
  anyState: 'Any state',
  severalStates: 'Several states',
  cluster: 'Cluster',
  anyCluster: 'All clusters',
  started: 'Started',
  anyTime: 'Any time',
  otherTime: 'Other time',
  spans: { last6h: 'Last 6 hours', last24h: 'Last 24 hours', last7d: 'Last 7 days', last30d: 'Last 30 days' },
  table: 'Table of jobs',
  none: 'No job matches these filters.',
  clear: 'Remove all filters',
  loading: 'The jobs are loading',
  view: 'View',
  views: { table: 'Table', plots: 'Plots', cards: 'Cards' },
  nodes: (number: number, text: string) => `${text} ${number === 1 ? 'node' : 'nodes'}`,
}

export const plots = {
  label: 'Jobs with their plots',
  job: 'Job',
  metrics: 'Metrics',
  summary: 'mean · max',
  loading: 'loading',
  none: 'no samples',
}

export const preview = {
  label: 'Preview of the job',
  button: 'Preview',
  hint: 'Show the plots and the advice of one job below the list',
  key: 'Space on a row',
  started: 'started',
  of: 'of',
  open: 'Open the job',
  close: 'Close the preview',
}

export const keysOfRows = {
  next: 'To the next row',
  previous: 'To the previous row',
  arrows: 'On a row: to the next or the previous one',
  preview: 'On a row: open or close the preview',
  open: 'On a row: open the job',
  close: 'On a row: close the preview',
}
