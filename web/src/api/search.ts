import { only } from './documents.ts'
import { query } from './graphql.ts'
import text from './queries/search.graphql?raw'
import type { SearchQuery, SearchQueryVariables } from './types.ts'

export type Found = SearchQuery
export type SearchVariables = SearchQueryVariables

const SEARCH = only(text, 'Search')

/** The first jobs, users, projects and nodes that fit. Raises ApiError. */
export const search = (variables: SearchVariables, signal: AbortSignal): Promise<Found> =>
  query<SearchQuery, SearchQueryVariables>(SEARCH, variables, signal)
