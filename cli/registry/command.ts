// `rollcall registry …`: where the registry is.
import { Command } from 'commander'
import { CommandFailed } from '../errors.ts'
import { type Format, outputOption, printDocument } from '../output/format.ts'
import { programName } from '../program-name.ts'

type MoveFlags = { data: string; to?: string; from?: string; registryPasswordFile?: string; output: Format }

export function registryCommand(): Command {
  return new Command('registry')
    .description('Where the registry is: in the data directory, or in PostgreSQL for several machines.')
    .addCommand(moveCommand())
}

function moveCommand(): Command {
  return new Command('move')
    .summary('move the registry of a data directory into PostgreSQL, or back')
    .description(
      'Copies every row into an empty database and compares them; the audit log is verified before and after. Services must be stopped. The\n' +
        'registry that was stays beside as registry.db.moved. With --from it comes back out of PostgreSQL into the directory of a service;\n' +
        'what was there stays as schema rollcall_moved.',
    )
    .requiredOption('--data <dir>', 'data directory')
    .option('--to <url>', 'into postgres://USER@HOST/DATABASE')
    .option('--from <url>', 'out of postgres://USER@HOST/DATABASE')
    .option('--registry-password-file <file>', 'file with the password')
    .addOption(outputOption())
    .action(async ({ data, to, from, registryPasswordFile, output }: MoveFlags) => {
      process.umask(0o077)
      if ((to === undefined) === (from === undefined))
        throw new CommandFailed('it is not said where the registry moves', 'give either --to or --from')
      const { moveToPostgres, moveFromPostgres } = await import('./move.ts')
      if (to === undefined) {
        const moved = await moveFromPostgres(data, from!, registryPasswordFile)
        await printDocument(moved, output)
        process.stderr.write(
          `From now on start this service without --registry, and no other one; what was is ${moved.before}\n`,
        )
        return
      }
      const moved = await moveToPostgres(data, to, registryPasswordFile)
      await printDocument(moved, output)
      process.stderr.write(
        `From now on start the services with --registry; what was is ${moved.before}: ${programName()} up --data ${data} --registry …\n`,
      )
    })
}
