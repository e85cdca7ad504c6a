/** What the wall screen says. */
export const wall = {
  jobs: 'Running jobs',
  users: 'Users',
  power: 'Power',
  of: (text: string) => `of ${text}`,
  old: (time: string) => `No connection: as of ${time}`,
}
