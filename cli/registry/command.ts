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
    .addCommand(snapshotCommand())
}

type SnapshotFlags = {
  data: string
  registry: string
  out: string
  registryPasswordFile?: string
  output: Format
}

function snapshotCommand(): Command {
  return new Command('snapshot')
    .summary('write what a broker needs of a registry in PostgreSQL into a signed file')
    .description(
      'For a new broker, which reads only what changed since (--snapshot), or a site without a way to PostgreSQL. Signed by the audit key of the\n' +
        'data directory of a service. It holds devices, certificates, CAs and policies; no private key, hash of a token or secret.',
    )
    .requiredOption('--data <dir>', 'data directory of a service, with its audit key')
    .requiredOption('--registry <url>', 'postgres://USER@HOST/DATABASE')
    .requiredOption('--out <file>', 'the file, which must not be there')
    .option('--registry-password-file <file>', 'file with the password')
    .addOption(outputOption())
    .action(async ({ data, registry, out, registryPasswordFile, output }: SnapshotFlags) => {
      process.umask(0o077)
      const { snapshotRegistry } = await import('./snapshot.ts')
      await printDocument(await snapshotRegistry(data, registry, out, registryPasswordFile), output)
    })
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
