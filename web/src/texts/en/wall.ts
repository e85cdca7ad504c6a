/** What the wall screen says. */
export const wall = {
  title: 'Wall screen',
  ended: 'This link has expired or was revoked. An admin creates a new one in the settings.',
  away: 'The gateway does not answer. This page tries again by itself.',
  jobs: 'Running jobs',
  users: 'Users',
  power: 'Power',
  of: (text: string) => `of ${text}`,
  old: (time: string) => `No connection: as of ${time}`,
}
