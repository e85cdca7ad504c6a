/** What the pages of users, projects and reports say. */
export const tables = {
  users: 'Users',
  projects: 'Projects',
  loading: 'The table is loading',
  none: 'No job matches these filters.',
  clear: 'Remove all filters',
  csv: 'CSV',
  csvHint: 'All rows of the table as a file',
  all: 'All',
  searchUsers: 'Part of a user name',
  searchProjects: 'Part of a project',
  jobs: 'Jobs',
}

export const totals = {
  totalJobs: 'Jobs',
  shortJobs: 'Short',
  shortHint: 'Jobs that ran for less than the short limit of the site, 5 minutes by default',
  failedJobs: 'Failed',
  failedHint: 'Failed, timeout, out of memory, failed node or boot, deadline',
  totalWalltime: 'Hours',
  hoursHint: 'Sum of the durations',
  totalCoreHours: 'Core hours',
  totalAccHours: 'GPU hours',
  accHint: 'Accelerators times duration',
  totalEnergy: 'Energy',
  totalIdleCoreHours: 'Idle core hours',
  idleHint: 'Core hours of jobs with exclusive nodes in which the load lacked to all cores',
  totalIdleAccHours: 'Idle GPU hours',
  idleAccHint: 'Accelerator hours that the utilization lacked to 100 %',
  totalFailedCoreHours: 'Core hours of failed jobs',
  meanWait: 'Mean wait',
  waitHint: 'From submission to start',
}

export const person = {
  loading: 'The totals are loading',
  now: 'Now',
  total: 'In total',
  months: 'By month',
  monthsHint: 'Jobs by the month of their start',
  runningJobs: 'jobs running',
  nothing: 'No jobs of this name that you may see.',
  jobs: 'Jobs',
  efficiency: 'Use of what was allocated',
  cores: 'Cores busy',
  accs: 'Accelerators busy',
}
