// The known name nearest to a misspelt one. Pure.

/** The known name with the fewest edits, a third of its length at most; null where none is near. Capitals make no difference. */
export function nearestName(name: string, known: Iterable<string>): string | null {
  let nearest: string | null = null
  let fewest = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const edits = editsBetween(name.toLowerCase(), candidate.toLowerCase())
    if (edits >= fewest) continue
    fewest = edits
    nearest = candidate
  }
  return nearest
}

/** Insertions, deletions and replacements (Levenshtein). */
function editsBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (let line = 1; line <= one.length; line += 1) {
    const next = [line]
    for (let at = 1; at <= other.length; at += 1) {
      const same = one[line - 1] === other[at - 1] ? 0 : 1
      next.push(Math.min(row[at]! + 1, next[at - 1]! + 1, row[at - 1]! + same))
    }
    row = next
  }
  return row[other.length]!
}
