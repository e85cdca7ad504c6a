import type { Route } from './router/match.ts'
import type { Role } from './session.ts'

const STAFF: Role[] = ['admin', 'support']

/** The page of every URL, relative to the base path. The first pattern that fits is taken. */
export const routes: Route[] = [
  { path: '/', title: () => 'Overview', load: () => import('./pages/home/HomePage.svelte') },
  { path: '/monitoring/jobs/', title: () => 'Jobs', load: () => import('./pages/jobs/JobsPage.svelte') },
  {
    path: '/monitoring/users/',
    title: () => 'Users',
    roles: ['manager', 'support', 'admin'],
    load: () => import('./pages/use/UsersPage.svelte'),
  },
  { path: '/monitoring/projects/', title: () => 'Projects', load: () => import('./pages/use/ProjectsPage.svelte') },
  { path: '/monitoring/reports/', title: () => 'Reports', load: () => import('./pages/reports/ReportsPage.svelte') },
  ...['/monitoring/analysis/', '/monitoring/analysis/:cluster'].map((path) => ({
    path,
    title: ({ cluster }: Record<string, string>) => (cluster ? `Analysis of ${cluster}` : 'Analysis'),
    load: () => import('./pages/analysis/AnalysisPage.svelte'),
  })),
  { path: '/monitoring/user/:name', title: ({ name }) => name ?? '', load: () => import('./pages/use/UserPage.svelte') },
  { path: '/monitoring/project/:name', title: ({ name }) => name ?? '', load: () => import('./pages/use/ProjectPage.svelte') },
  { path: '/monitoring/job/:id(\\d+)', title: ({ id }) => `Job ${id ?? ''}`, load: () => import('./pages/job/JobPage.svelte') },
  {
    path: '/monitoring/job/:cluster/:jobId(\\d+)',
    title: ({ cluster, jobId }) => `Job ${jobId ?? ''} on ${cluster ?? ''}`,
    load: () => import('./pages/job/JobPage.svelte'),
  },
  { path: '/monitoring/compare/', title: () => 'Compare jobs', load: () => import('./pages/compare/ComparePage.svelte') },
  { path: '/monitoring/tags/', title: () => 'Tags', load: () => import('./pages/tags/TagsPage.svelte') },
  { path: '/config', title: () => 'Settings', load: () => import('./pages/config/ConfigPage.svelte') },
  { path: '/monitoring/logs', title: () => 'Log', roles: ['admin'], load: () => import('./pages/logs/LogsPage.svelte') },
  {
    path: '/monitoring/pipeline/',
    title: () => 'Pipeline',
    roles: ['admin', 'support'],
    load: () => import('./pages/pipeline/PipelinePage.svelte'),
  },
  {
    path: '/monitoring/rejections/',
    title: () => 'Rejections',
    roles: ['admin', 'support'],
    load: () => import('./pages/rejections/RejectionsPage.svelte'),
  },
  { path: '/monitoring/systems/', title: () => 'Clusters', roles: STAFF, load: () => import('./pages/nodes/ClustersPage.svelte') },
  {
    path: '/monitoring/systems/:cluster',
    title: ({ cluster }) => `Nodes of ${cluster ?? ''}`,
    roles: STAFF,
    load: () => import('./pages/nodes/NodesPage.svelte'),
  },
  ...['/monitoring/systems/list/:cluster', '/monitoring/systems/list/:cluster/:subCluster'].map((path) => ({
    path,
    title: ({ cluster, subCluster }: Record<string, string>) => `Nodes of ${[cluster, subCluster].filter(Boolean).join(', ')}`,
    roles: STAFF,
    load: () => import('./pages/nodelist/NodeListPage.svelte'),
  })),
  ...['/monitoring/status/:cluster', '/monitoring/status/detail/:cluster'].map((path) => ({
    path,
    title: ({ cluster }: Record<string, string>) => `Status of ${cluster ?? ''}`,
    roles: STAFF,
    load: () => import('./pages/status/StatusPage.svelte'),
  })),
  {
    path: '/monitoring/dashboard/:cluster',
    title: ({ cluster }) => cluster ?? '',
    roles: STAFF,
    isBare: true,
    load: () => import('./pages/wall/WallPage.svelte'),
  },
  { path: '/wall/', title: () => 'Wall screen', isBare: true, load: () => import('./pages/wall/LinkPage.svelte') },
  {
    path: '/monitoring/node/:cluster/:host',
    title: ({ host }) => `Node ${host ?? ''}`,
    roles: STAFF,
    load: () => import('./pages/node/NodePage.svelte'),
  },
]
