import type { NewTag, Tag } from '../../api/tags.ts'

export interface TagsApi {
  tags: () => Promise<Tag[]>
  tagCounts: (ids: string[], report: (counts: Map<string, number>) => void, signal: AbortSignal) => Promise<void>
  createTag: (tag: NewTag) => Promise<unknown>
  removeTag: (id: string) => Promise<void>
}

export interface TagGroup {
  type: string
  tags: Tag[]
}

/** The types of tags that rules and the detection of programs set. */
const AUTOMATIC = ['app', 'jobClass']
export const isAutomatic = (type: string): boolean => AUTOMATIC.includes(type)

/** The tags that fit to all words of `search`, by type. */
export function grouped(tags: Tag[], search: string): TagGroup[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  const fits = (tag: Tag) => words.every((word) => `${tag.type}:${tag.name}`.toLowerCase().includes(word))
  const groups = new Map<string, Tag[]>()
  for (const tag of tags.filter(fits)) groups.set(tag.type, [...(groups.get(tag.type) ?? []), tag])
  const byName = (a: Tag, b: Tag) => a.name.localeCompare(b.name)
  return [...groups].map(([type, of]) => ({ type, tags: of.toSorted(byName) })).toSorted((a, b) => a.type.localeCompare(b.type))
}

/** All tags, with the numbers of their jobs as these arrive. */
export class TagList {
  tags = $state.raw<Tag[]>([])
  counts = $state.raw<ReadonlyMap<string, number>>(new Map())
  failure = $state('')
  isLoaded = $state(false)
  readonly #api: TagsApi
  #asked: AbortController | null = null

  constructor(api: TagsApi) {
    this.#api = api
  }

  async load(): Promise<void> {
    this.#asked?.abort()
    const asked = (this.#asked = new AbortController())
    try {
      const tags = await this.#api.tags()
      if (asked.signal.aborted) return
      this.tags = tags
      this.failure = ''
      this.isLoaded = true
      const report = (counts: Map<string, number>) => {
        if (!asked.signal.aborted) this.counts = new Map([...this.counts, ...counts])
      }
      await this.#api.tagCounts(
        tags.map(({ id }) => id),
        report,
        asked.signal,
      )
    } catch (e) {
      if (!asked.signal.aborted) this.failure = e instanceof Error ? e.message : String(e)
    }
  }

  /** Returns why it could not be made, empty if it was. */
  async create(tag: NewTag): Promise<string> {
    try {
      await this.#api.createTag(tag)
    } catch (e) {
      return e instanceof Error ? e.message : String(e)
    }
    await this.load()
    return ''
  }

  async remove(tag: Tag): Promise<void> {
    try {
      await this.#api.removeTag(tag.id)
      this.tags = this.tags.filter(({ id }) => id !== tag.id)
      this.failure = ''
    } catch (e) {
      this.failure = e instanceof Error ? e.message : String(e)
    }
  }

  close(): void {
    this.#asked?.abort()
  }
}
