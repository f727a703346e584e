// `rollcall job …`: import jobs of the service, looked at, followed, cancelled, and asked for their results.
import { Command, Option } from 'commander'
import type { ImportOutcome, Job } from '../../client/index.ts'
import { followJob, pages, columns as resultColumns } from '../device/import.ts'
import { type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }

const columns: readonly Column<Job>[] = [
  { heading: 'ID', cell: job => job.id },
  { heading: 'STATE', cell: job => (job.dryRun ? `${job.state} (dry run)` : job.state) },
  { heading: 'ROWS', cell: job => `${job.rowsDone}/${job.rowsTotal}` },
  { heading: 'REFUSED', cell: job => job.counts.refused },
  { heading: 'BY', cell: job => job.createdBy },
  { heading: 'CREATED', cell: job => job.createdAt },
]

export function jobCommand(): Command {
  const job = new Command('job').description('Import jobs. They are kept for a week after their end.')
  job.addCommand(
    withServiceOptions(new Command('list'))
      .summary('list jobs, newest first')
      .action(async (flags: Flags) => {
        await withService(flags, client => printPages(client.jobs.pages(), columns, flags.output))
      }),
  )
  job.addCommand(
    withServiceOptions(new Command('show'))
      .summary('show one job')
      .argument('<id>', 'ID of the job')
      .action(async (id: string, flags: Flags) => {
        await printDocument(await withService(flags, client => client.jobs.show(id)), flags.output)
      }),
  )
  job.addCommand(
    withServiceOptions(new Command('watch'))
      .summary('follow a job to its end, as import does')
      .argument('<id>', 'ID of the job')
      .option('--results <file>', 'write what became of each row, with its certificate, as JSON lines')
      .action((id: string, flags: Flags & { results?: string }) =>
        withService(flags, client => followJob(client, id, flags)),
      ),
  )
  job.addCommand(resultsCommand())
  job.addCommand(
    withServiceOptions(new Command('cancel'))
      .summary('end a job; what is done stays')
      .argument('<id>', 'ID of the job')
      .action(async (id: string, flags: Flags) => {
        await printDocument(await withService(flags, client => client.jobs.cancel(id)), flags.output)
      }),
  )
  return job
}

function resultsCommand(): Command {
  return withServiceOptions(new Command('results'))
    .summary('tell what became of each row, with its certificate as JSON')
    .argument('<id>', 'ID of the job')
    .addOption(
      new Option('--outcome <outcome>', 'only rows with this outcome').choices([
        'registered',
        'enrolled',
        'listed',
        'changed',
        'unchanged',
        'refused',
      ]),
    )
    .action(async (id: string, { outcome, ...flags }: Flags & { outcome?: ImportOutcome }) => {
      const filter = outcome === undefined ? {} : { outcome }
      await withService(flags, client =>
        printPages(
          pages(client.jobs.results(id, { ...filter, certificates: flags.output !== 'table' })),
          resultColumns,
          flags.output,
        ),
      )
    })
}
