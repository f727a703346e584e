// The cursor of a list: the last key of a page, opaque to callers.
import { httpProblems } from './http-problems.ts'
import { Problem } from './problem.ts'

export function encodeCursor(key: string | null): string | null {
  return key === null ? null : Buffer.from(key).toString('base64url')
}

/** The key to continue after. Throws the problem `cursor_invalid` where the text is no cursor of this kind of key. */
export function decodeCursor(cursor: string | undefined, isKey: (text: string) => boolean): string | null {
  if (cursor === undefined) return null
  const key = Buffer.from(cursor, 'base64url').toString('utf8')
  if (!isKey(key) || encodeCursor(key) !== cursor) {
    throw new Problem(httpProblems, 'cursor_invalid', 'the cursor does not continue any list of this kind')
  }
  return key
}
