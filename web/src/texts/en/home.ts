/** What the first page says. */
export const home = {
  title: 'Overview',
  loading: 'The overview is loading',
  running: 'Running',
  noRunning: 'None of your jobs is running.',
  wrong: 'Went wrong in the last 7 days',
  noWrong: 'None of your jobs failed in the last 7 days.',
  done: 'Finished today',
  noDone: 'None of your jobs finished today.',
  all: (text: string) => `All ${text}`,
  months: 'Use',
  soFar: 'so far',
  more: (number: number) => `and ${String(number)} more`,
  projects: 'Projects',
  projectsHint: 'Jobs that started this month',
  clusters: 'Clusters',
  refused: 'Refused today',
  noRefused: 'Nothing was refused today.',
  noNodes: 'no reports',
  sick: 'Nodes that need attention',
  noSick: 'No node is down or fails its checks.',
}

export const use = {
  jobs: 'Jobs',
  failed: 'failed',
  coreHours: 'Core hours',
  accHours: 'Accelerator hours',
  energy: 'Energy',
  busy: 'Cores busy',
  busyHint: 'Mean load of the cores of jobs with exclusive nodes, weighted by core hours',
  nothing: 'no measurement',
}
