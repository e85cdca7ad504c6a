import { describe, expect, test } from 'vitest'
import { asQuery } from './filters-as-query.ts'
import { readFilters } from './filters.ts'

type Query = ReturnType<typeof asQuery>[number]

/** Links as cc-backend 1.5 writes them, and the filter each must give. */
const BOOKMARKS: [string, Query | null][] = [
  ['', null],
  // places
  ['cluster=fritz', { cluster: { eq: 'fritz' } }],
  ['cluster=fritz&partition=multinode', { cluster: { eq: 'fritz' }, partition: { eq: 'multinode' } }],
  ['cluster=fritz&subCluster=spr1tb', { cluster: { eq: 'fritz' }, subCluster: { eq: 'spr1tb' } }],
  ['partition=a100&cluster=alex', { partition: { eq: 'a100' }, cluster: { eq: 'alex' } }],
  ['cluster=alex&state=running&startTime=last30d', { cluster: { eq: 'alex' }, state: ['running'], startTime: { range: 'last30d' } }],
  ['node=f0101', { node: { eq: 'f0101' } }],
  ['node=f0101&nodeMatch=eq', { node: { eq: 'f0101' } }],
  ['node=f01&nodeMatch=contains', { node: { contains: 'f01' } }],
  ['nodeMatch=contains&node=a0&cluster=alex', { node: { contains: 'a0' }, cluster: { eq: 'alex' } }],
  // people and projects
  ['user=k104', { user: { contains: 'k104' } }],
  ['user=k104de11&userMatch=eq', { user: { eq: 'k104de11' } }],
  ['user=k104&userMatch=contains', { user: { contains: 'k104' } }],
  ['user=k104de11&userMatch=in', { user: { eq: 'k104de11' } }],
  ['user=a&user=b', { user: { in: ['a', 'b'] } }],
  ['user=a&user=b&userMatch=in', { user: { in: ['a', 'b'] } }],
  ['user=a&startTime=last30d', { user: { contains: 'a' }, startTime: { range: 'last30d' } }],
  ['project=iwal', { project: { eq: 'iwal' } }],
  ['project=iwal&projectMatch=eq', { project: { eq: 'iwal' } }],
  ['project=iwa&projectMatch=contains', { project: { contains: 'iwa' } }],
  ['project=b110&cluster=woody&startTime=last7d', { project: { eq: 'b110' }, cluster: { eq: 'woody' }, startTime: { range: 'last7d' } }],
  // jobs
  ['jobId=123456', { jobId: { eq: '123456' } }],
  ['jobId=123456&jobIdMatch=eq', { jobId: { eq: '123456' } }],
  ['jobId=1234&jobIdMatch=contains', { jobId: { contains: '1234' } }],
  ['jobId=1&jobId=2&jobId=3', { jobId: { in: ['1', '2', '3'] } }],
  ['jobId=1&jobId=2&jobIdMatch=in', { jobId: { in: ['1', '2'] } }],
  ['dbId=4711&dbId=4712', { dbId: ['4711', '4712'] }],
  ['arrayJobId=77&cluster=fritz', { arrayJobId: 77, cluster: { eq: 'fritz' } }],
  ['arrayJobId=77&startTime=last30d', { arrayJobId: 77, startTime: { range: 'last30d' } }],
  ['jobName=namd', { jobName: { contains: 'namd' } }],
  ['jobName=namd run', { jobName: { contains: 'namd run' } }],
  ['jobName=namd%20run%2B1', { jobName: { contains: 'namd run+1' } }],
  [
    'jobName=relax&startTime=1698796800-1701388799',
    { jobName: { contains: 'relax' }, startTime: { from: '2023-11-01T00:00:00.000Z', to: '2023-11-30T23:59:59.000Z' } },
  ],
  // states
  ['state=running', { state: ['running'] }],
  ['state=failed&state=timeout', { state: ['failed', 'timeout'] }],
  [
    'state=completed&state=failed&state=cancelled&state=out_of_memory&state=node_fail',
    { state: ['completed', 'failed', 'cancelled', 'out_of_memory', 'node_fail'] },
  ],
  ['state=running&cluster=fritz', { state: ['running'], cluster: { eq: 'fritz' } }],
  ['shared=none', { shared: 'none' }],
  ['shared=multi_user&cluster=woody', { shared: 'multi_user', cluster: { eq: 'woody' } }],
  ['shared=single_user', { shared: 'single_user' }],
  ['schedule=interactive', { schedule: 'interactive' }],
  ['schedule=batch&state=running', { schedule: 'batch', state: ['running'] }],
  // times
  ['startTime=last6h', { startTime: { range: 'last6h' } }],
  ['startTime=last24h&user=ana', { startTime: { range: 'last24h' }, user: { contains: 'ana' } }],
  ['startTime=1700000000-1700086400', { startTime: { from: '2023-11-14T22:13:20.000Z', to: '2023-11-15T22:13:20.000Z' } }],
  ['duration=lessthan-300', { duration: { from: 0, to: 300 } }],
  ['duration=morethan-300', { duration: { from: 300, to: 0 } }],
  ['duration=3600-86400', { duration: { from: 3600, to: 86_400 } }],
  // resources
  ['numNodes=2-8', { numNodes: { from: 2, to: 8 } }],
  ['numNodes=morethan-64&cluster=fritz', { numNodes: { from: 64, to: 0 }, cluster: { eq: 'fritz' } }],
  ['numNodes=1-4&numHWThreads=72-288', { numNodes: { from: 1, to: 4 }, numHWThreads: { from: 72, to: 288 } }],
  ['numHWThreads=lessthan-16', { numHWThreads: { from: 0, to: 16 } }],
  ['numAccelerators=1-8', { numAccelerators: { from: 1, to: 8 } }],
  ['numAccelerators=morethan-4', { numAccelerators: { from: 4, to: 0 } }],
  ['energy=1-20', { energy: { from: 1, to: 20 } }],
  ['energy=lessthan-100', { energy: { from: 0, to: 100 } }],
  // statistics
  ['stat=mem_used_max-10-200', { metricStats: [{ metricName: 'mem_used_max', range: { from: 10, to: 200 } }] }],
  ['stat=flops_any_avg-morethan-500', { metricStats: [{ metricName: 'flops_any_avg', range: { from: 500, to: 0 } }] }],
  [
    'stat=cpu_load_avg-lessthan-20&stat=mem_bw_avg-0-80',
    {
      metricStats: [
        { metricName: 'cpu_load_avg', range: { from: 0, to: 20 } },
        { metricName: 'mem_bw_avg', range: { from: 0, to: 80 } },
      ],
    },
  ],
  ['stat=acc-util_avg-1.5-99.5', { metricStats: [{ metricName: 'acc-util_avg', range: { from: 1.5, to: 99.5 } }] }],
  // tags
  ['tag=4', { tags: ['4'] }],
  ['tag=4&tag=5', { tags: ['4', '5'] }],
  // several of all kinds, and what later versions may have written
  [
    'cluster=alex&project=b110&state=completed&startTime=last7d&duration=morethan-600&numAccelerators=1-8&stat=acc_utilization_avg-lessthan-15&tag=9',
    {
      cluster: { eq: 'alex' },
      project: { eq: 'b110' },
      state: ['completed'],
      startTime: { range: 'last7d' },
      duration: { from: 600, to: 0 },
      numAccelerators: { from: 1, to: 8 },
      metricStats: [{ metricName: 'acc_utilization_avg', range: { from: 0, to: 15 } }],
      tags: ['9'],
    },
  ],
  ['duration=soon&startTime=then&stat=x&arrayJobId=-1&tag=x&dbId=y&other=1', null],
]

describe('links of cc-backend ask for the same jobs', () => {
  test('sixty of them', () => {
    expect(BOOKMARKS.length).toBeGreaterThan(60)
  })

  test.each(BOOKMARKS)('%s', (text, query) => {
    expect(asQuery(readFilters(new URLSearchParams(text)))).toEqual(query ? [query] : [])
  })
})
