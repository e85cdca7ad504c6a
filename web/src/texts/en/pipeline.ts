/** What the page of the pipeline says. */
const messages = (number: string) => `${number} ${number === '1' ? 'message' : 'messages'}`

export const pipeline = {
  title: 'Pipeline',
  lead: 'From the adapters through the streams into database and archive, as this gateway sees it.',
  quiet: 'No reader falls behind, and no queue grows.',
  trouble: 'Needs attention',
  loading: 'The state of the site is loading',
  old: (age: string) => `This state is ${age} old. The gateway or the database does not answer; the page asks again by itself.`,
  asOf: 'As of',
  streams: 'Streams',
  stream: 'Stream',
  role: 'Contents',
  stored: 'Messages',
  position: 'Read up to',
  of: (position: string, last: string) => `${position} of ${last}`,
  lag: 'Lag',
  size: 'Size',
  oldest: 'Oldest',
  fill: {
    empty: 'Is empty.',
    little: 'less than 1 %',
    free: (size: string) => `Keeps ${size}, without a limit of its own.`,
    bound: (size: string, limit: string, share: string) => `Keeps ${size} of ${limit} (${share}).`,
    oldest: (age: string, limit: string | null) =>
      `The oldest message is ${age} old; messages ${limit === null ? 'stay forever' : `leave after ${limit}`}.`,
  },
  services: 'Services',
  service: 'Service',
  process: 'Process',
  state: 'State',
  reported: 'Reported',
  startedAt: 'Up since',
  states: { ready: 'ready', unready: 'not ready', silent: 'silent', unheard: 'not heard' },
  unsure: 'not heard yet',
  ago: (age: string) => `${age} ago`,
  clusters: 'Clusters',
  cluster: 'Cluster',
  lastJob: 'Last start or stop of a job',
  lastNodes: 'Last report of nodes',
  never: 'none in the log',
  live: 'Followers of changes',
  liveTitle: 'Event streams (one per browser) and GraphQL web sockets at this gateway',
  queues: 'Work queues',
  queue: 'Queue',
  waiting: 'Waiting',
  inWork: 'In work',
  unread: 'Oldest unfinished',
  nothing: 'nothing',
  stores: 'Metric stores',
  store: 'Address',
  samples: 'Samples/s',
  series: 'Series',
  memory: 'Memory',
  files: 'Files',
  newest: 'Newest sample',
  missing: 'missing',
  jobs: 'Running jobs',
  parked: 'Stops that wait for their start',
  rejections: 'Rejections',
  failures: {
    title: 'Failed archiving',
    none: 'Every stopped job has its archive entry, or waits for it.',
    lead: (count: number, shown: number) =>
      `The archiver does not try ${count === 1 ? 'this job' : `these ${String(count)} jobs`} again by itself.${count > shown ? ` The newest ${String(shown)} are shown.` : ''}`,
    job: 'Job',
    cluster: 'Cluster',
    user: 'User',
    started: 'Started',
    reason: 'Reason',
    overdue: 'It exceeded its time limit, and its stop never came.',
    unknown: 'Not recorded.',
    retry: 'Archive again',
    one: (job: number) => `Archive again: job ${String(job)}`,
    all: (shown: number) => `Archive ${shown === 1 ? 'it' : `these ${String(shown)}`} again`,
    requested: (count: number) => `${count === 1 ? 'One job waits' : `${String(count)} jobs wait`} for the archiver again.`,
  },
  contents: {
    INTAKE: 'raw messages of the adapters',
    EVENTS: 'events of jobs',
    NODES: 'reports of nodes',
    REJECTIONS: 'refused input',
    METRICS: 'metric lines',
  } as Record<string, string>,
  problems: {
    broker: (why: string) => `The broker: ${why}. Adapters cannot publish; look at the log of nats-server and at its disk.`,
    noStream: (name: string) => `The stream ${name} does not exist. Run “jobtide provision”.`,
    reader: (name: string, lag: string) =>
      `The position in ${name} stands still, ${messages(lag)} before its end. Look at /readyz and the log of jobstore; the database may be slow or full.`,
    queue: (name: string, waiting: string) =>
      `${name} does not take its work: ${messages(waiting)} wait. Look at /readyz and the log of ${name}.`,
    unarchived: (number: string) =>
      `${number} ${number === '1' ? 'job has' : 'jobs have'} no archive entry, because archiving failed for good. Mend the cause, then archive them again below.`,
    refuses: (name: string, share: string) =>
      `The stream ${name} is ${share} full and will refuse messages at its limit. Raise it with “nats stream edit ${name} --max-bytes”, or shorten its age.`,
    removes: (name: string, share: string) =>
      `The stream ${name} is ${share} full; at its limit the oldest events are lost, and with them a complete rebuild. Raise it with “nats stream edit ${name} --max-bytes”.`,
    unread: (queue: string, age: string, limit: string) =>
      `${queue} has not finished a message that is ${age} old; messages expire after ${limit} and are lost unread. Look at /readyz and the log of ${queue}.`,
    unready: (service: string, process: string, why: string) => `${service} (${process}) is not ready. ${why}.`,
    silent: (service: string, age: string) =>
      `${service} has not reported for ${age}: it was killed, stands still, or has lost the broker. Look at its log and start it.`,
    unheard: (service: string) =>
      `No process of ${service} reports: none runs, none reaches the broker, or the broker does not permit its reports. Look at its log.`,
    silentCluster: (name: string, age: string) =>
      `The nodes of ${name} have not been reported for ${age}, so their states are unknown. Look at the adapter of ${name}.`,
    store: (address: string, why: string) =>
      `The metric store ${address} does not answer: ${why}. Curves are missing, and jobs that end wait for their archive entry.`,
    storeLag: (address: string, lag: string) => `The metric store ${address} stands still, ${messages(lag)} before the end of its stream.`,
    expired: (address: string, number: string) =>
      `${messages(number)} expired before the metric store ${address} read them; their samples are lost. Raise the bounds of the stream METRICS.`,
  },
}
