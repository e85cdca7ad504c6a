import type { Tag } from '../../api/tags.ts'
import type { Session } from '../../session.ts'

/** The scopes in which a person may write tags; the gateway has the last word. */
export function writableScopes({ username, roles }: Session['user']): string[] {
  const has = (...wanted: string[]) => wanted.some((role) => roles.includes(role))
  return [
    ...(has('user', 'manager', 'support', 'admin') ? [username] : []),
    ...(has('support', 'admin') ? ['global'] : []),
    ...(has('admin') ? ['admin'] : []),
  ]
}

export const writableTags = (tags: Tag[], scopes: string[]): Tag[] => tags.filter((tag) => scopes.includes(tag.scope))

export function inParts<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(values.length / size) }, (_, part) => values.slice(part * size, (part + 1) * size))
}
