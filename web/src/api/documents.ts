/** The operation `name` of a GraphQL document, with the fragments of the document that it uses. */
export function only(text: string, name: string): string {
  const definitions = new Map<string, string>()
  for (const part of text.split(/^(?=(?:query|mutation|subscription|fragment) )/m)) {
    const given = /^(?:query|mutation|subscription|fragment) (\w+)/.exec(part)
    if (given?.[1]) definitions.set(given[1], part.replace(/\s+/g, ' ').trim())
  }
  const used: string[] = []
  const take = (wanted: string) => {
    const part = definitions.get(wanted)
    if (part === undefined) throw new Error(`the documents have no ${wanted}`)
    if (used.includes(part)) return
    used.push(part)
    for (const spread of part.matchAll(/\.\.\.(?!on\b)\s*(\w+)/g)) if (spread[1]) take(spread[1])
  }
  take(name)
  return used.join(' ')
}
