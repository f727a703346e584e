// `rollcall device export`: the whole roll, or a part of it, as a file that an import takes back.
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command, Option } from 'commander'
import { fileFault } from '../errors.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { type FilterFlags, filterOf, withFilters } from './filters.ts'

type ExportFlags = ServiceFlags &
  FilterFlags & {
    format?: 'ndjson' | 'csv'
    status?: string
    pem: boolean
    out?: string
  }

export function exportCommand(): Command {
  return withServiceOptions(withFilters(new Command('export')))
    .summary('write devices and their certificates as of one moment, as JSON lines or CSV')
    .description(
      'Streams the roll to stdout, or into a file (0600) that is there whole or not at all. JSON lines hold every\n' +
        'certificate and can be imported again; CSV holds the facts of the newest one, for a spreadsheet.',
    )
    .optionsGroup('What is written:')
    .addOption(new Option('--format <format>', 'how it is written').choices(['ndjson', 'csv']))
    .option('--status <status>', 'only devices that have a certificate of this status')
    .option('--no-pem', 'leave the certificates themselves out')
    .option('--out <file>', 'write into a file')
    .action(async ({ format, status, pem, out, ...flags }: ExportFlags) => {
      const given = Object.entries({ format, status }).filter(([, value]) => value !== undefined)
      await withService(flags, async client => {
        const bytes = Readable.from(
          await client.export({ ...filterOf(flags), ...Object.fromEntries(given), pem }),
        )
        if (out === undefined) {
          await pipeline(bytes, process.stdout, { end: false })
          return
        }
        const unfinished = `${out}.new`
        try {
          await pipeline(bytes, createWriteStream(unfinished, { mode: 0o600, flush: true }))
          await rename(unfinished, out)
        } catch (error) {
          await rm(unfinished, { force: true })
          throw fileFault('the export cannot be written', out, error)
        }
      })
    })
}
