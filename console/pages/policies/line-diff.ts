// Two texts line by line: the lines that stayed, went and came. Pure.
import { diffArrays } from 'diff'

type DiffLine = { kind: 'same' | 'gone' | 'new'; text: string; number: number }

const LINES_MAX = 2_000

/** `number` is the line's in `before` where it is gone, else in `after`. Null where a text is too long to be compared quickly. */
export function lineDiff(before: string, after: string): DiffLine[] | null {
  const old = linesOf(before)
  const next = linesOf(after)
  if (old.length > LINES_MAX || next.length > LINES_MAX) return null
  let oldNumber = 0
  let newNumber = 0
  return diffArrays(old, next).flatMap(({ value, added, removed }) =>
    value.map(text => {
      if (!added) oldNumber += 1
      if (!removed) newNumber += 1
      const kind = added ? 'new' : removed ? 'gone' : 'same'
      return { kind, text, number: removed ? oldNumber : newNumber }
    }),
  )
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n')
}
