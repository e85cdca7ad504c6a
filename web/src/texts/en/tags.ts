/** What the page of tags says. */
export const tags = {
  title: 'Tags',
  search: 'Search tags',
  create: 'Create tag',
  type: 'Type',
  name: 'Name',
  scope: 'Visible to',
  private: 'only me',
  people: 'Tags of people',
  automatic: 'Automatic tags: programs and advice',
  jobs: (text: string, jobs: number) => `${text} ${jobs === 1 ? 'job' : 'jobs'}`,
  remove: 'Delete',
  reallyRemove: 'Remove this tag from all jobs?',
  none: 'There are no tags yet.',
  noneFits: 'No tag matches.',
  loading: 'The tags are loading',
}
