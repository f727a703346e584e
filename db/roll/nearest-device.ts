// The registered device whose ID is nearest to a name, for hints alone: no decision uses a name. Walks the index of
// IDs by seeks and skips what cannot be near, so a million devices cost as little as a thousand. Bounded in seeks.
import type { Database } from 'better-sqlite3'

export type NearestDevice = { id: string; name: string; distance: number }

/** The first ID at or after a text, in the order of the index; null at its end. */
type Seek = (from: string) => string | null

/** Each some 5 µs: the question of an operator never stalls the service for longer than some milliseconds. */
const SEEKS_MAX = 2_000
const NAMES_MAX = 8
const NAME_CHARACTERS_MAX = 128
const EDITS_MAX = 2
/** A name of fewer characters is too short for so many edits to mean anything. */
const CHARACTERS_PER_EDIT = 3

export function prepareNearestDevice(sqlite: Database): (names: readonly string[]) => NearestDevice | null {
  const seek = sqlite
    .prepare<[string], string>('SELECT id FROM devices WHERE id >= ? ORDER BY id LIMIT 1')
    .pluck()
  return names => nearestOf(names, from => seek.get(from) ?? null)
}

/**
 * By the fewest edits, at most two; where none is that near, the longest beginning of a name (up to a `.`, `-` or `_`)
 * that is an ID, or an ID that a name begins.
 */
export function nearestOf(names: readonly string[], seek: Seek): NearestDevice | null {
  const asked = [...new Set(names)].filter(name => /^[A-Za-z0-9._-]+$/.test(name)).slice(0, NAMES_MAX)
  const usable = asked.filter(name => name.length <= NAME_CHARACTERS_MAX)
  let seeksLeft = SEEKS_MAX
  const counted: Seek = from => {
    seeksLeft -= 1
    return seeksLeft < 0 ? null : seek(from)
  }
  for (let edits = 0; edits <= EDITS_MAX; edits += 1) {
    for (const name of usable) {
      if (name.length < edits * CHARACTERS_PER_EDIT) continue
      const id = edits === 0 ? exactly(name, counted) : withinEdits(name, edits, counted)
      if (id !== null) return { id, name, distance: edits }
    }
  }
  for (const name of usable) {
    const id = sameBeginning(name, seek)
    if (id !== null) return { id, name, distance: Math.abs(id.length - name.length) }
  }
  return null
}

function exactly(name: string, seek: Seek): string | null {
  return seek(name) === name ? name : null
}

/** Levenshtein's table, a row for each character of the ID: where a row has no hope left, all IDs that begin so are skipped. */
function withinEdits(name: string, edits: number, seek: Seek): string | null {
  const first = Array.from({ length: name.length + 1 }, (_, at) => at)
  for (let from: string | null = ''; from !== null; ) {
    const id = seek(from)
    if (id === null) return null
    let row = first
    let hopeless = 0
    for (let at = 0; at < id.length && hopeless === 0; at += 1) {
      row = nextRow(row, name, id[at]!)
      if (Math.min(...row) > edits) hopeless = at + 1
    }
    if (hopeless === 0 && row.at(-1)! <= edits) return id
    from = hopeless === 0 ? `${id}\0` : afterAllThatBegin(id.slice(0, hopeless))
  }
  return null
}

function nextRow(above: readonly number[], name: string, character: string): number[] {
  const row = [above[0]! + 1]
  for (let at = 1; at < above.length; at += 1) {
    const replaced = above[at - 1]! + (name[at - 1] === character ? 0 : 1)
    row.push(Math.min(replaced, above[at]! + 1, row[at - 1]! + 1))
  }
  return row
}

/** IDs are ASCII: the text after all that begin with this one ends in the next character. */
function afterAllThatBegin(beginning: string): string {
  return beginning.slice(0, -1) + String.fromCharCode(beginning.charCodeAt(beginning.length - 1) + 1)
}

function sameBeginning(name: string, seek: Seek): string | null {
  const longer = seek(name)
  if (longer?.startsWith(name)) return longer
  const parts = name.split(/(?<=[._-])/)
  for (let count = parts.length - 1; count > 0; count -= 1) {
    const beginning = parts
      .slice(0, count)
      .join('')
      .replace(/[._-]+$/, '')
    if (beginning !== '' && seek(beginning) === beginning) return beginning
  }
  return null
}
