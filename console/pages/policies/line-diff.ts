// Two texts line by line: what stayed, went and came. Pure.

type DiffLine = { kind: 'same' | 'gone' | 'new'; text: string; number: number }

const LINES_MAX = 2_000

/** The longest common run of lines stays; null where a text is too long for that to be quick. */
export function lineDiff(before: string, after: string): DiffLine[] | null {
  const old = before === '' ? [] : before.replace(/\n$/, '').split('\n')
  const next = after === '' ? [] : after.replace(/\n$/, '').split('\n')
  if (old.length > LINES_MAX || next.length > LINES_MAX) return null
  const common = Array.from({ length: old.length + 1 }, () => new Uint16Array(next.length + 1))
  for (let i = old.length - 1; i >= 0; i -= 1)
    for (let j = next.length - 1; j >= 0; j -= 1)
      common[i]![j] =
        old[i] === next[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!)
  const found: DiffLine[] = []
  let i = 0
  let j = 0
  while (i < old.length || j < next.length) {
    if (i < old.length && j < next.length && old[i] === next[j]) {
      found.push({ kind: 'same', text: next[j]!, number: j + 1 })
      i += 1
      j += 1
    } else if (j >= next.length || (i < old.length && common[i + 1]![j]! >= common[i]![j + 1]!)) {
      found.push({ kind: 'gone', text: old[i]!, number: i + 1 })
      i += 1
    } else {
      found.push({ kind: 'new', text: next[j]!, number: j + 1 })
      j += 1
    }
  }
  return found
}
