// Reads an upload: validates every record and stores the row it asks for; refuses a duplicate or a private key before it
// touches the disk. The job later runs on the rows that were validated here.

import type { FileHandle } from 'node:fs/promises'
import { Problem } from '../http/problem.ts'
import { type Column, columnsOf } from './columns.ts'
import type { JobFiles } from './job-files.ts'
import { jobProblems } from './job-problems.ts'
import { type FileLayout, newLayout, readRecords, type UploadFormat } from './records.ts'
import { type Mapping, type Row, readRow } from './row.ts'
import type { RowFault } from './row-fault.ts'
import { createSeenDevices } from './seen-devices.ts'

/** A row as a job finds it. */
export type ValidatedRow = { number: number; line: number } & ({ row: Row } | { fault: RowFault })

/** How a file was understood. */
export type Understood = Pick<FileLayout, 'encoding' | 'delimiter'> & { columns: Column[] }

/** How a file is to be understood. */
type Reading = { format: UploadFormat; mapping: Mapping; pin: boolean }

const ROWS_MAX = 2_000_000
const UPLOAD_BYTES_MAX = 8 * 2 ** 30
const BUFFERED_CHARACTERS = 256 * 1024
const ROOM_EVERY_BYTES = 32 * 2 ** 20

/** Gives the number of rows on disk, and how they were understood. Throws a Problem where the upload as a whole cannot be used. */
export async function takeUpload(
  id: string,
  files: JobFiles,
  bytes: AsyncIterable<Buffer>,
  reading: Reading,
): Promise<{ rows: number; understood: Understood }> {
  const layout = newLayout()
  files.assertRoom()
  files.make(id)
  const handle = await files.writeRows(id)
  try {
    const rows = await writeRows(handle, validated(bounded(bytes, files), reading, layout))
    if (rows === 0) throw new Problem(jobProblems, 'upload_unusable', 'there is no row in it')
    await handle.sync()
    const { encoding, delimiter, header } = layout
    return {
      rows,
      understood: { encoding, delimiter, columns: columnsOf(header ?? [], reading.mapping).columns },
    }
  } finally {
    await handle.close()
  }
}

async function writeRows(handle: FileHandle, rows: AsyncIterable<ValidatedRow>): Promise<number> {
  let count = 0
  let text = ''
  for await (const row of rows) {
    count += 1
    if (count > ROWS_MAX)
      throw new Problem(jobProblems, 'upload_too_large', `there are more than ${ROWS_MAX} rows in it`)
    text += `${JSON.stringify(row)}\n`
    if (text.length < BUFFERED_CHARACTERS) continue
    await handle.write(text)
    text = ''
  }
  if (text !== '') await handle.write(text)
  return count
}

async function* validated(
  bytes: AsyncIterable<Buffer>,
  { format, mapping: given, pin }: Reading,
  layout: FileLayout,
): AsyncGenerator<ValidatedRow> {
  const seen = createSeenDevices()
  let number = 0
  let mapping: Mapping | null = null
  for await (const found of readRecords(bytes, format, layout)) {
    number += 1
    mapping ??= layout.header === null ? given : columnsOf(layout.header, given).mapping
    const at = { number, line: found.line }
    const verdict = 'fault' in found ? found.fault : readRow(found.record, mapping, format === 'csv')
    if ('reason' in verdict) yield { ...at, fault: verdict }
    else {
      const { deviceId } = verdict.row
      const first = seen.firstRow(deviceId, number)
      if (first === null) yield { ...at, row: pin ? pinned(verdict.row) : verdict.row }
      else
        yield {
          ...at,
          fault: { reason: 'row_duplicate', detail: `row ${first} names this device`, deviceId },
        }
    }
  }
}

function pinned(row: Row): Row {
  const certificates = row.certificates?.map(({ certificate }) => ({ certificate, trust: 'pinned' as const }))
  return certificates === undefined ? row : { ...row, certificates }
}

async function* bounded(bytes: AsyncIterable<Buffer>, files: JobFiles): AsyncGenerator<Buffer> {
  let total = 0
  let looked = 0
  for await (const chunk of bytes) {
    total += chunk.length
    if (total > UPLOAD_BYTES_MAX)
      throw new Problem(
        jobProblems,
        'upload_too_large',
        `it is longer than ${UPLOAD_BYTES_MAX / 2 ** 30} GiB`,
      )
    if (total - looked > ROOM_EVERY_BYTES) {
      files.assertRoom()
      looked = total
    }
    yield chunk
  }
}
