/** What the page of reports says. */
export const reports = {
  title: 'Reports',
  loading: 'The report is loading',
  none: 'No job matches these filters.',
  clear: 'Remove all filters',
  by: 'By',
  per: 'per',
  groups: { user: 'user', project: 'project', cluster: 'cluster', partition: 'partition', state: 'state', time: 'time only' },
  bins: { month: 'month', day: 'day', hour: 'hour' },
  value: 'Show',
  others: 'others',
  hint: 'A job counts as a whole in the period in which it started.',
  csv: 'CSV',
  export: 'Export the jobs of this report',
  print: 'Print',
  top: (number: number) => `The ${String(number)} largest; CSV has all.`,
}
