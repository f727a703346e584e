// The text of an upload as UTF-8, whatever a spreadsheet wrote: UTF-8 with a byte order mark or without, UTF-16, Windows-1252. Found out
// from the first bytes that tell; nothing is held back but those. Knows no rows.
import { isAscii } from 'node:buffer'
import { utf16Of } from '../../db/jobs/table-format.ts'

export type Encoding = 'UTF-8' | 'UTF-16' | 'Windows-1252'
/** What was found out, filled in as the file is read. */
export type TextLayout = { encoding: Encoding }

/** A character of UTF-8 has at most so many bytes. */
const CHARACTER_BYTES_MAX = 4

export async function* asUtf8(
  bytes: AsyncIterable<Buffer>,
  layout: TextLayout,
  /** Whether text that is no UTF-8 may be Windows-1252: not where the format says that it is UTF-8. */
  legacy: boolean,
): AsyncGenerator<Buffer> {
  let decoder: TextDecoder | null = null
  let decided = false
  let begun = false
  /** Bytes that do not tell yet. */
  let held: Buffer = Buffer.alloc(0)

  for await (const chunk of bytes) {
    let rest: Buffer = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    held = Buffer.alloc(0)
    if (!begun && rest.length < CHARACTER_BYTES_MAX) {
      held = rest
      continue
    }
    if (!begun) {
      begun = true
      const wide = utf16Of(rest)
      if (wide !== null) [decoder, decided, layout.encoding] = [new TextDecoder(wide), true, 'UTF-16']
      else if (!legacy || hasMark(rest)) decided = true
    }
    if (!decided && !isAscii(rest)) {
      const at = rest.findIndex(byte => byte >= 0x80)
      if (rest.length - at < CHARACTER_BYTES_MAX) {
        held = Buffer.from(rest.subarray(at))
        rest = rest.subarray(0, at)
      } else {
        decided = true
        decoder = legacyAt(rest, at, layout)
      }
    }
    if (rest.length > 0) yield decoder === null ? rest : Buffer.from(decoder.decode(rest, { stream: true }))
  }

  if (held.length > 0 && !decided && legacy && !hasMark(held)) {
    const at = held.findIndex(byte => byte >= 0x80)
    if (at >= 0) decoder = legacyAt(held, at, layout)
  }
  if (held.length > 0) yield decoder === null ? held : Buffer.from(decoder.decode(held, { stream: true }))
  const last = decoder?.decode() ?? ''
  if (last !== '') yield Buffer.from(last)
}

/** By the first character that is not ASCII: one of UTF-8, or of what Windows writes. */
function legacyAt(bytes: Buffer, at: number, layout: TextLayout): TextDecoder | null {
  if (isCharacter(bytes.subarray(at, at + CHARACTER_BYTES_MAX))) return null
  layout.encoding = 'Windows-1252'
  return new TextDecoder('windows-1252')
}

/** Whether these bytes begin with a character of more than one byte (RFC 3629 §4). */
function isCharacter(bytes: Buffer): boolean {
  const lead = bytes[0] ?? 0
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length))
    return true
  } catch {
    return false
  }
}

function hasMark(bytes: Buffer): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
}
