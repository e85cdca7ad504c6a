/** Gives each job one of the rows that are there: a job that stays keeps its row, others take the rows of those that left. Pure. */
export function slotsOf(ids: string[], before: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const taken = new Set(ids.map((id) => before.get(id)))
  const free = [...before.values()].filter((slot) => !taken.has(slot))
  let next = Math.max(-1, ...before.values()) + 1
  return new Map(ids.map((id) => [id, before.get(id) ?? free.shift() ?? next++]))
}

/** Remembers the rows of the jobs that it was given last. */
export function keptSlots(): (rows: { id: string }[]) => ReadonlyMap<string, number> {
  let kept: ReadonlyMap<string, number> = new Map()
  return (rows) =>
    (kept = slotsOf(
      rows.map(({ id }) => id),
      kept,
    ))
}
