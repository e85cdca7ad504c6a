/** Tables as CSV (RFC 4180). */

export type Cell = string | number | null

/** Texts that a spreadsheet would take for a formula get an apostrophe in front. */
function field(cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell === 'number') return Number.isFinite(cell) ? String(cell) : ''
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export const csv = (rows: Iterable<readonly Cell[]>): string => Array.from(rows, (row) => `${row.map(field).join(',')}\r\n`).join('')

/** Lets the browser save a text as a file. */
export function save(name: string, text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }))
  link.download = name.replaceAll(/[^\w.-]+/g, '_')
  link.click()
  URL.revokeObjectURL(link.href)
}
