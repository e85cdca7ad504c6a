/** What rules of advice are called. The gateway writes the titles into the page (docs/advice.md). */

let titles: Readonly<Record<string, string>> = {}

export function useRuleTitles(known: Readonly<Record<string, string>>): void {
  titles = known
}

/** Of a rule that is no longer in use, its tag in words. */
export const ruleTitle = (tag: string): string => (Object.hasOwn(titles, tag) && titles[tag]) || tag.replaceAll(/[_-]/g, ' ')

/** Tags of the type jobClass are those of rules. */
export const tagTitle = ({ type, name }: { type: string; name: string }): string =>
  type === 'jobClass' ? ruleTitle(name) : `${type}: ${name}`
