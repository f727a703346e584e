// The text of a file's beginning, whatever a spreadsheet wrote: UTF-8, UTF-16 or Windows-1252. Only to show its columns: the service
// reads the file by itself.
import { utf16Of } from '../../../db/jobs/table-format.ts'

export function textOf(bytes: Uint8Array): string {
  const wide = utf16Of(bytes)
  if (wide !== null) return new TextDecoder(wide).decode(bytes)
  try {
    // As a stream: the last character may be cut off.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true })
  } catch {
    return new TextDecoder('windows-1252').decode(bytes)
  }
}
