import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/tags.graphql?raw'
import type { CreateTagMutation, CreateTagMutationVariables, RemoveTagsMutation, RemoveTagsMutationVariables, TagsQuery } from './types.ts'

export type Tag = TagsQuery['tags'][number]
export type NewTag = CreateTagMutationVariables

const TAGS = only(text, 'Tags')
const CREATE = only(text, 'CreateTag')
const REMOVE = only(text, 'RemoveTags')
const COUNTS_AT_ONCE = 40

/** Those that the viewer may read. Raises ApiError. */
export async function tags(): Promise<Tag[]> {
  const found = (await query<TagsQuery, object>(TAGS, {})).tags
  return found.map((tag) => ({ ...tag, id: String(tag.id) }))
}

/** The numbers of visible jobs by tag, reported part by part. Raises ApiError. */
export async function tagCounts(ids: string[], report: (counts: Map<string, number>) => void, signal: AbortSignal): Promise<void> {
  for (let at = 0; at < ids.length; at += COUNTS_AT_ONCE) {
    const part = ids.slice(at, at + COUNTS_AT_ONCE).filter((id) => /^\d+$/.test(id))
    const fields = part.map((id) => `t${id}: jobs(filter: [{ tags: [${id}] }], page: { itemsPerPage: 1, page: 1 }) { count }`)
    const found = await query<Record<string, { count: number | null }>, object>(`query TagCounts { ${fields.join(' ')} }`, {}, signal)
    report(new Map(part.map((id) => [id, found[`t${id}`]?.count ?? 0])))
  }
}

/** The new tag. Raises ApiError, such as for a tag that exists. */
export async function createTag(tag: NewTag): Promise<Tag> {
  const { createTag } = await query<CreateTagMutation, CreateTagMutationVariables>(CREATE, tag)
  return { ...createTag, id: String(createTag.id) }
}

/** From all jobs and from the list. Raises ApiError. */
export const removeTag = async (id: string): Promise<void> => {
  await query<RemoveTagsMutation, RemoveTagsMutationVariables>(REMOVE, { ids: [id] })
}
