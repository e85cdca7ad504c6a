/** What the bar, the dialogs and every page say. */
export const nav = {
  jobs: 'Jobs',
  nodes: 'Nodes',
  users: 'Users',
  projects: 'Projects',
  reports: 'Reports',
  analysis: 'Analysis',
  tags: 'Tags',
  logs: 'Log',
  pipeline: 'Pipeline',
  rejections: 'Rejections',
  label: 'Pages',
  skip: 'Skip to the content',
}

export const live = {
  connecting: 'Connecting to the stream of changes',
  live: 'Live: changes appear by themselves',
  lost: 'Connection lost: trying again',
  ended: 'Signed out: changes are no longer shown',
}

export const theme = { label: 'Theme', system: 'Same as system', light: 'Light', dark: 'Dark' }

export const user = { signOut: 'Sign out', settings: 'Settings', roles: 'Roles' }

export const signIn = {
  title: 'Your sign-in has ended',
  text: 'Sign in again to go on here. What you see stays as it is.',
  name: 'Name',
  password: 'Password',
  button: 'Sign in',
  other: 'Another way to sign in',
  failed: 'The gateway cannot be reached.',
}

export const page = {
  unknown: 'There is no page at this address.',
  forbidden: 'Your roles do not include this page.',
  failed: 'This page failed. The console of the browser says why.',
  broken: 'The page could not be loaded. Is the gateway reachable?',
  reload: 'Try again',
  home: 'To the jobs',
  close: 'Close',
}

export const palette = {
  title: 'Search and commands',
  button: 'Search',
  hint: 'Job number, name, user, project, node, page …',
  close: 'Close',
  results: 'Results',
  jobs: 'Jobs',
  users: 'Users',
  projects: 'Projects',
  nodes: 'Nodes',
  pages: 'Pages',
  actions: 'Actions',
  list: 'Job list',
  rest: 'REST: the description of every operation',
  graphql: 'GraphQL: a page to write queries',
  withNumber: (number: string) => `All jobs with the number ${number}`,
  withName: (name: string) => `All jobs named “${name}”`,
  jobCount: (text: string, jobs: number) => `${text} ${jobs === 1 ? 'job' : 'jobs'}`,
  count: (items: number) => (items === 1 ? '1 result' : `${String(items)} results`),
}

export const keys = { title: 'Keys', page: 'On this page', everywhere: 'On every page', close: 'Close' }

export const confirm = { cancel: 'Cancel' }
