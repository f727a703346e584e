// `rollcall backup`: a consistent copy of the registry, or with --all of everything that a new machine needs, while everything
// runs. Reads the directory itself: no service is needed.
import { existsSync } from 'node:fs'
import { Command } from 'commander'
import { prepareChangeReader } from '../../db/change-feed.ts'
import { closeRegistry } from '../../db/index.ts'
import { FIRST_SCHEMA } from '../../db/migrate.ts'
import { backup, openForReading } from '../../db/open.ts'
import { RegistryError } from '../../db/registry-error.ts'
import { type BackupRecord, writeLastBackup } from '../../db/service-records.ts'
import { dataPaths } from '../data-directory.ts'
import { CommandFailed, fileFault, UsageError } from '../errors.ts'
import { type Format, outputOption, printDocument } from '../output/format.ts'
import { writeFullBackup } from './full-backup.ts'

type Flags = { data: string; all: boolean; passphraseFile?: string; output: Format }

export function backupCommand(): Command {
  return new Command('backup')
    .description(
      'Copies the registry of a data directory into a new file (0600), consistently and while everything runs.\n' +
        'With --all it makes a directory (0700) with all that rollcall restore needs: the keys of the CA and of the audit\n' +
        'log too. Stored sessions, the API token and the server certificate are in neither.',
    )
    .argument('<target>', 'file or, with --all, directory to make')
    .requiredOption('--data <dir>', 'data directory')
    .option('--all', 'registry, keys, certificates, settings', false)
    .option('--passphrase-file <file>', 'with --all: file with a passphrase for keys that lie in the clear')
    .addOption(outputOption())
    .action(async (target: string, flags: Flags) => {
      if (existsSync(target)) throw new CommandFailed(`${target} exists already`, 'name a new one')
      if (!flags.all && flags.passphraseFile !== undefined)
        throw new UsageError('--passphrase-file is about keys, which only --all copies')
      process.umask(0o077)
      if (flags.all) return everything(target, flags)
      const { bytes, epoch } = await copy(dataPaths(flags.data).registry, target)
      note(flags.data, { epoch, everything: false, bytes })
      await printDocument({ file: target, bytes }, flags.output)
    })
}

async function everything(target: string, { data, passphraseFile, output }: Flags): Promise<void> {
  const made = await readable(target, () => writeFullBackup(data, target, passphraseFile ?? null))
  note(data, { epoch: made.epoch, everything: true, bytes: made.bytes })
  await printDocument({ directory: target, ...made }, output)
  if (made.keysInTheClear > 0) {
    process.stderr.write(
      `warning: ${made.keysInTheClear} keys in it are not encrypted: guard it as you guard ${data}/keys, or name a --passphrase-file\n`,
    )
  }
}

/** For `rollcall status` and the console. The backup stands whether or not this can be written. */
function note(data: string, made: Omit<BackupRecord, 'madeAt'>): void {
  try {
    writeLastBackup(data, { madeAt: Date.now(), ...made })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    process.stderr.write(
      `warning: the backup is made, but not noted for rollcall status: ${data} cannot be written (${code})\n`,
    )
  }
}

async function copy(registryFile: string, target: string): Promise<{ bytes: number; epoch: number }> {
  return readable(target, async () => {
    const registry = openForReading(registryFile, FIRST_SCHEMA)
    try {
      // What is written meanwhile may be in the copy, too.
      const epoch = prepareChangeReader(registry).latestEpoch()
      return { ...(await backup(registry, target)), epoch }
    } finally {
      await closeRegistry(registry)
    }
  })
}

async function readable<Result>(target: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof CommandFailed) throw error
    if (error instanceof RegistryError) {
      throw new CommandFailed(`the registry cannot be copied: ${error.message}`, 'check --data', {
        cause: error,
      })
    }
    throw fileFault('the backup cannot be written', target, error)
  }
}
