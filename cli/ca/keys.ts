// `rollcall ca encrypt` and `ca export-root`: the keys of the CA, in the data directory itself. Needs no service.
import { Command } from 'commander'
import { takeLock } from '../../db/process-lock.ts'
import { PASSPHRASE_VARIABLE, readPassphrase } from '../../provisioning/ca/ca-keys.ts'
import type { SealedFile } from '../../provisioning/ca/key-ceremony.ts'
import { exportRoot, removeRootKey, sealCaKeys } from '../../provisioning/ca/key-ceremony.ts'
import { dataDirectory } from '../../provisioning/data-directory.ts'
import { CommandFailed, UsageError } from '../errors.ts'
import { type Column, type Format, outputOption, printDocument, printPages } from '../output/format.ts'

type EncryptFlags = { data: string; passphraseFile?: string; oldPassphraseFile?: string; output: Format }
type ExportFlags = { data: string; passphraseFile: string; remove: boolean; output: Format }

const columns: readonly Column<SealedFile>[] = [
  { heading: 'KEY', cell: ({ file }) => file },
  { heading: 'OUTCOME', cell: ({ outcome }) => outcome },
]

export function encryptCommand(): Command {
  return new Command('encrypt')
    .summary('put the keys of the CA under a passphrase, or under another one')
    .description(
      'Encrypts the keys of root and issuing CA in the data directory. The service must be stopped, and is started\n' +
        `afterwards with ${PASSPHRASE_VARIABLE} naming the passphrase file.`,
    )
    .requiredOption('--data <dir>', 'data directory')
    .option('--passphrase-file <file>', `file with the passphrase (${PASSPHRASE_VARIABLE})`)
    .option('--old-passphrase-file <file>', 'file with the passphrase that holds until now')
    .addOption(outputOption())
    .action(async (flags: EncryptFlags) => {
      const file = flags.passphraseFile ?? process.env[PASSPHRASE_VARIABLE]
      if (!file) throw new UsageError('no passphrase file is named', 'give --passphrase-file FILE')
      const directory = dataDirectory(flags.data)
      await withoutService(directory.lock, async () => {
        const passphrase = readPassphrase(file)
        const old = flags.oldPassphraseFile === undefined ? null : readPassphrase(flags.oldPassphraseFile)
        const sealed = sealCaKeys(directory, passphrase, old)
        if (sealed.length === 0)
          throw new CommandFailed(`${directory.keys} holds no key of a CA`, 'check --data')
        async function* pages() {
          yield sealed
        }
        await printPages(pages(), columns, flags.output)
      })
      process.stderr.write(
        `start the service with ${PASSPHRASE_VARIABLE}=${file}; keep a copy of the passphrase apart\n`,
      )
    })
}

export function exportRootCommand(): Command {
  return new Command('export-root')
    .summary('write the root’s key into an encrypted file to be kept offline')
    .description(
      'Writes root certificate and encrypted root key into a new file and proves that it can be used. With --remove the key\n' +
        'in the data directory is removed then: rollcall ca rotate --root-key FILE brings it back for a rotation.',
    )
    .argument('<file>', 'file to make')
    .requiredOption('--data <dir>', 'data directory')
    .requiredOption('--passphrase-file <file>', 'file with the passphrase of the exported key')
    .option('--remove', 'remove the key from the data directory once the file is proven', false)
    .addOption(outputOption())
    .action(async (file: string, flags: ExportFlags) => {
      const directory = dataDirectory(flags.data)
      const local = process.env[PASSPHRASE_VARIABLE]
      const exported = await withReadableErrors(() =>
        exportRoot(directory, file, {
          local: local ? readPassphrase(local) : null,
          exported: readPassphrase(flags.passphraseFile),
        }),
      )
      if (flags.remove) removeRootKey(directory)
      await printDocument({ ...exported, removed: flags.remove }, flags.output)
      if (!flags.remove) process.stderr.write(`${directory.rootKey} is still here: --remove takes it away\n`)
    })
}

/** Keys are not changed under a running service: it would go on with what it read at its start. */
async function withoutService(lockFile: string, work: () => Promise<void>): Promise<void> {
  const lock = await withReadableErrors(() => takeLock(lockFile))
  if (lock === null)
    throw new CommandFailed('the provisioning service runs on this directory', 'stop it first')
  try {
    await withReadableErrors(work)
  } finally {
    lock.release()
  }
}

/** Faults here name the file and what to do about it already. */
async function withReadableErrors<Result>(work: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof CommandFailed || !(error instanceof Error)) throw error
    const code = (error as NodeJS.ErrnoException).code
    const hint =
      code === 'EEXIST' ? 'name a new file' : 'nothing was changed; check --data and the passphrase files'
    throw new CommandFailed(error.message, hint, { cause: error })
  }
}
