// `rollcall registry …`: where the registry is.
import { Command } from 'commander'
import { type Format, outputOption, printDocument } from '../output/format.ts'
import { programName } from '../program-name.ts'

type MoveFlags = { data: string; to: string; registryPasswordFile?: string; output: Format }

export function registryCommand(): Command {
  return new Command('registry')
    .description('Where the registry is: in the data directory, or in PostgreSQL for several machines.')
    .addCommand(moveCommand())
}

function moveCommand(): Command {
  return new Command('move')
    .summary('move the registry of a data directory into PostgreSQL')
    .description(
      'Copies every row into an empty database and compares them; the audit log is verified before and after. Services must be stopped. The\n' +
        'registry that was stays beside as registry.db.moved.',
    )
    .requiredOption('--data <dir>', 'data directory')
    .requiredOption('--to <url>', 'postgres://USER@HOST/DATABASE')
    .option('--registry-password-file <file>', 'file with the password')
    .addOption(outputOption())
    .action(async ({ data, to, registryPasswordFile, output }: MoveFlags) => {
      process.umask(0o077)
      const { moveToPostgres } = await import('./move.ts')
      const moved = await moveToPostgres(data, to, registryPasswordFile)
      await printDocument(moved, output)
      process.stderr.write(
        `From now on start the services with --registry; what was is ${moved.before}: ${programName()} up --data ${data} --registry …\n`,
      )
    })
}
