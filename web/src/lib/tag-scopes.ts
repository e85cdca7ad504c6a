/** Scopes of tags: everybody, admins, and one for each person, which has the name of the person. Pure. */

const SHARED = ['global', 'admin']

interface Person {
  username: string
  roles: string[]
}

/** A person with the name of a shared scope has no scope alone. */
export const isPrivate = (scope: string, { username }: Pick<Person, 'username'>): boolean => scope === username && !SHARED.includes(scope)

/** The scopes in which somebody may write tags, the own one first; the gateway has the last word. */
export function writableScopes({ username, roles }: Person): string[] {
  const isAdmin = roles.includes('admin')
  return [
    ...(isPrivate(username, { username }) ? [username] : []),
    ...(isAdmin || roles.includes('support') ? ['global'] : []),
    ...(isAdmin ? ['admin'] : []),
  ]
}
