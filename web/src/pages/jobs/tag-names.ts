import type { Tag } from '../../api/tags.ts'
import { tagTitle } from '../../lib/rule-titles.ts'

/** The tags with a name, `hangs` or `jobClass:hangs`, in any case of letters. The same name may exist in several scopes and types. */
export function tagsNamed(tags: Tag[], text: string): Tag[] {
  const wanted = text.trim().toLowerCase()
  return tags.filter(({ type, name }) => [name, `${type}:${name}`, `${type}: ${name}`].some((known) => known.toLowerCase() === wanted))
}

/** The names of tags by their ids. */
export const tagNames = (tags: Tag[]): Map<string, string> => new Map(tags.map((tag) => [tag.id, tagTitle(tag)]))
