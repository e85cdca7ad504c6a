/** Where the field at fault stands in a payload, so that it can be marked. */

export interface Marked {
  before: string
  mark: string
  after: string
}

const SPACE = /[ \t\r\n]*/y
const STRING = /"(?:[^"\\]|\\.)*"/y
const WORD = /[^\s,\]}]+/y

/**
 * The value of a field with its name, of a path such as `resources.0.hostname`; null if it is not in the text. Beyond the marked place the
 * text need not be JSON.
 */
export function marked(text: string, path: string): Marked | null {
  const found = member(text, skip(text, 0), path.split('.'))
  return found && { before: text.slice(0, found[0]), mark: text.slice(...found), after: text.slice(found[1]) }
}

/** The tag or field of a line, as line protocol writes it. */
export function markedTag(line: string, name: string): Marked | null {
  const at = line.indexOf(`,${name}=`)
  if (at < 0) return null
  const end = /[, ]/.exec(line.slice(at + 1))?.index ?? line.length
  return { before: line.slice(0, at + 1), mark: line.slice(at + 1, at + 1 + end), after: line.slice(at + 1 + end) }
}

function member(text: string, at: number, path: string[]): [number, number] | null {
  const [name = '', ...rest] = path
  const isList = text[at] === '['
  if (!isList && text[at] !== '{') return null
  at = skip(text, at + 1)
  for (let index = 0; at < text.length && text[at] !== '}' && text[at] !== ']'; index += 1) {
    const begin = at
    let key = String(index)
    if (!isList) {
      const quoted = match(STRING, text, at)
      if (quoted === null) return null
      key = unquoted(quoted)
      at = skip(text, at + quoted.length)
      if (text[at] !== ':') return null
      at = skip(text, at + 1)
    }
    if (key === name && rest.length) return member(text, at, rest)
    const end = valueEnd(text, at)
    if (end === at) return null
    if (key === name) return [begin, end]
    at = skip(text, end)
    if (text[at] === ',') at = skip(text, at + 1)
  }
  return null
}

/** The place after the value that begins at `at`; the end of the text for one that is not closed. */
function valueEnd(text: string, at: number): number {
  let depth = 0
  do {
    const char = text[at] ?? ''
    if (char === '"') at += match(STRING, text, at)?.length ?? text.length - at
    else if ('{['.includes(char)) depth += 1
    else if ('}]'.includes(char)) depth -= 1
    else if (depth === 0) return at + (match(WORD, text, at)?.length ?? 0)
    if (char !== '"') at += 1
  } while (depth > 0 && at < text.length)
  return Math.min(at, text.length)
}

function match(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? null
}

const skip = (text: string, at: number) => at + (match(SPACE, text, at)?.length ?? 0)

function unquoted(text: string): string {
  try {
    return JSON.parse(text) as string
  } catch {
    return text.slice(1, -1)
  }
}
