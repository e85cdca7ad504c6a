/** What named views and histograms of the job list say. */
export const views = {
  label: 'Views',
  shown: (name: string) => `${name}: view`,
  none: 'A view is a list with its filters, its order and its look, under a name.',
  saveAs: 'Save what the list shows as',
  save: 'Save',
  rename: 'Rename',
  newName: (name: string) => `New name of ${name}`,
  remove: 'Delete',
  really: 'Delete it?',
  refused: (most: number) => ({
    name: 'Give a name of 1 to 60 characters.',
    many: `There are ${String(most)} views already; delete one first.`,
    long: 'These filters are too long to be stored.',
  }),
}

export const histograms = {
  region: 'Histograms of the jobs of this list',
  hint: 'Click a bar, or drag over several, to show only these jobs.',
  metrics: 'Footprints',
  duration: 'Duration',
  numNodes: 'Nodes',
  numAccelerators: 'Accelerators',
  jobs: (text: string, jobs: number) => `${text} ${jobs === 1 ? 'job' : 'jobs'}`,
  beyond: (text: string) => `${text} jobs lie beyond these bars.`,
  none: 'No job has a value.',
  sentence: (title: string, text: string) => `${title} of ${text}. Arrow keys move between the bars, Enter shows only the jobs of a bar.`,
}
