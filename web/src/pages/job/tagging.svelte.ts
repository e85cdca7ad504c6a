import type { NewTag, Tag } from '../../api/tags.ts'

export interface TaggingApi {
  tags: () => Promise<Tag[]>
  createTag: (tag: NewTag) => Promise<Tag>
  addTag: (job: string, tag: string) => Promise<Tag[]>
  removeTag: (job: string, tag: string) => Promise<Tag[]>
}

/** `type: name`; null for anything else. */
export function parsedTag(text: string): { type: string; name: string } | null {
  const found = /^\s*([^:]+?)\s*:\s*(.+?)\s*$/.exec(text)
  return found?.[1] && found[2] ? { type: found[1], name: found[2] } : null
}

export const tagText = ({ type, name }: Pick<Tag, 'type' | 'name'>): string => `${type}: ${name}`

/** Changes the tags of a job. */
export class Tagging {
  known = $state.raw<Tag[]>([])
  failure = $state('')
  isBusy = $state(false)
  readonly #api: TaggingApi

  constructor(api: TaggingApi) {
    this.#api = api
  }

  async load(): Promise<void> {
    await this.#try(async () => {
      this.known = await this.#api.tags()
    })
  }

  /** Creates the tag where it does not exist. Returns the tags of the job afterwards, null after a failure. */
  async add(job: string, text: string, scope: string): Promise<Tag[] | null> {
    const wanted = parsedTag(text)
    if (!wanted) {
      this.failure = 'A tag is written as type: name.'
      return null
    }
    return this.#try(async () => {
      const known = this.known.find((tag) => tag.type === wanted.type && tag.name === wanted.name && tag.scope === scope)
      const id = known?.id ?? (await this.#api.createTag({ ...wanted, scope })).id
      if (!known) this.known = [...this.known, { ...wanted, id, scope }]
      return this.#api.addTag(job, id)
    })
  }

  /** As `add`. */
  async remove(job: string, tag: string): Promise<Tag[] | null> {
    return this.#try(() => this.#api.removeTag(job, tag))
  }

  async #try<Result>(act: () => Promise<Result>): Promise<Result | null> {
    this.isBusy = true
    try {
      const found = await act()
      this.failure = ''
      return found
    } catch (e) {
      this.failure = e instanceof Error ? e.message : String(e)
      return null
    } finally {
      this.isBusy = false
    }
  }
}
