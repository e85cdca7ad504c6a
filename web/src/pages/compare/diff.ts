/** The difference of two texts by lines. Pure. */

export interface DiffLine {
  kind: 'same' | 'removed' | 'added'
  text: string
}

const MAX_CELLS = 4_000_000 // of the table; longer texts are shown as replaced

/** The lines of both texts in order, those of `before` ahead of those of `after` where they differ. */
export function diff(before: string, after: string): DiffLine[] {
  const [old, new_] = [lines(before), lines(after)]
  let head = 0
  while (head < old.length && head < new_.length && old[head] === new_[head]) head += 1
  let tail = 0
  while (tail < old.length - head && tail < new_.length - head && old.at(-1 - tail) === new_.at(-1 - tail)) tail += 1
  const middle = changed(old.slice(head, old.length - tail), new_.slice(head, new_.length - tail))
  return [...as('same', old.slice(0, head)), ...middle, ...as('same', old.slice(old.length - tail))]
}

const lines = (text: string) => (text ? text.replace(/\r?\n$/, '').split(/\r?\n/) : [])
const as = (kind: DiffLine['kind'], texts: string[]): DiffLine[] => texts.map((text) => ({ kind, text }))

/** By the longest common subsequence: cell (i, j) has its length for the lines from i and from j on. */
function changed(old: string[], new_: string[]): DiffLine[] {
  const width = new_.length + 1
  if ((old.length + 1) * width > MAX_CELLS) return [...as('removed', old), ...as('added', new_)]
  const common = new Uint16Array((old.length + 1) * width)
  const at = (i: number, j: number) => common[i * width + j] ?? 0
  for (let i = old.length - 1; i >= 0; i -= 1)
    for (let j = new_.length - 1; j >= 0; j -= 1)
      common[i * width + j] = old[i] === new_[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
  const result: DiffLine[] = []
  let [i, j] = [0, 0]
  while (i < old.length || j < new_.length) {
    const [oldLine, newLine] = [old[i], new_[j]]
    if (oldLine !== undefined && oldLine === newLine) {
      result.push({ kind: 'same', text: oldLine })
      i += 1
      j += 1
    } else if (oldLine !== undefined && (newLine === undefined || at(i + 1, j) >= at(i, j + 1))) {
      result.push({ kind: 'removed', text: oldLine })
      i += 1
    } else {
      result.push({ kind: 'added', text: newLine ?? '' })
      j += 1
    }
  }
  return result
}

export interface DiffPart {
  /** Equal lines that are left out of the view. */
  hidden: number
  lines: DiffLine[]
}

const CONTEXT = 3

/** Long runs of equal lines are folded but for those next to a difference. */
export function folded(all: DiffLine[]): DiffPart[] {
  const isNear = all.map((_, index) => all.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some(({ kind }) => kind !== 'same'))
  const parts: DiffPart[] = []
  all.forEach((line, index) => {
    const last = parts.at(-1)
    if (!isNear[index]) {
      if (last && !last.lines.length) last.hidden += 1
      else parts.push({ hidden: 1, lines: [] })
    } else if (last) last.lines.push(line)
    else parts.push({ hidden: 0, lines: [line] })
  })
  return parts
}
