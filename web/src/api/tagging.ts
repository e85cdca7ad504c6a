/** Tags of jobs. */

import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/tagging.graphql?raw'
import type { Tag } from './tags.ts'
import type {
  AddTagsToJobMutation,
  AddTagsToJobMutationVariables,
  RemoveTagsFromJobMutation,
  RemoveTagsFromJobMutationVariables,
} from './types.ts'

const withTextIds = (tags: Tag[]) => tags.map((tag) => ({ ...tag, id: String(tag.id) }))

/** Returns the tags of the job afterwards. Raises ApiError. */
export async function addTag(job: string, tag: string): Promise<Tag[]> {
  return withTextIds(
    (await query<AddTagsToJobMutation, AddTagsToJobMutationVariables>(only(text, 'AddTagsToJob'), { job, tags: [tag] })).addTagsToJob,
  )
}

/** Returns the tags of the job afterwards. Raises ApiError. */
export async function removeTag(job: string, tag: string): Promise<Tag[]> {
  const variables = { job, tags: [tag] }
  return withTextIds(
    (await query<RemoveTagsFromJobMutation, RemoveTagsFromJobMutationVariables>(only(text, 'RemoveTagsFromJob'), variables))
      .removeTagsFromJob,
  )
}

/** Attaches a tag to jobs, or removes it from them, in one request of an alias for each job. Raises ApiError. */
export async function tagJobs(jobs: readonly string[], tag: string, isAdded: boolean): Promise<void> {
  const field = isAdded ? 'addTagsToJob' : 'removeTagsFromJob'
  const declared = jobs.map((_, i) => `$job${String(i)}: ID!`).join(', ')
  const fields = jobs.map((_, i) => `job${String(i)}: ${field}(job: $job${String(i)}, tagIds: [$tag]) { id }`).join('\n')
  const variables = Object.fromEntries([['tag', tag], ...jobs.map((id, i) => [`job${String(i)}`, id])])
  await query<unknown, Record<string, string>>(`mutation ($tag: ID!, ${declared}) {\n${fields}\n}`, variables)
}
