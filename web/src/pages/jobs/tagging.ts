import type { Tag } from '../../api/tags.ts'

export const writableTags = (tags: Tag[], scopes: string[]): Tag[] => tags.filter((tag) => scopes.includes(tag.scope))

export function inParts<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(values.length / size) }, (_, part) => values.slice(part * size, (part + 1) * size))
}
