// `rollcall restore`: a backup of everything becomes the data directory of a new machine, once it is proven whole.
import { existsSync, rmSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Command } from 'commander'
import { readManifest } from '../backup/manifest.ts'
import { makeDataDirectory } from '../data-directory.ts'
import { CommandFailed, fileFault } from '../errors.ts'
import { type Format, outputOption, printDocument } from '../output/format.ts'
import { programName } from '../program-name.ts'
import { assertEmpty, putInPlace, refuseNewer, stage, stagingFor, verifyStaging } from './files.ts'

type Flags = { data: string; passphraseFile?: string; output: Format }

export function restoreCommand(): Command {
  return new Command('restore')
    .description(
      'Makes a data directory of what rollcall backup --all copied. Every file is compared with its hash, the registry and its\n' +
        'audit log are verified, the keys tried, before anything is put in place. An existing directory must be empty.\n' +
        'Keys under the passphrase of the CA are tried with ROLLCALL_CA_PASSPHRASE_FILE.',
    )
    .argument('<backup>', 'directory that rollcall backup --all made')
    .requiredOption('--data <dir>', 'data directory to make')
    .option('--passphrase-file <file>', 'file with the passphrase that the backup was made with')
    .addOption(outputOption())
    .action(restore)
}

async function restore(backup: string, { data, passphraseFile, output }: Flags): Promise<void> {
  process.umask(0o077)
  const restored = await restoreBackup(backup, data, passphraseFile ?? null, process.env)
  await printDocument(restored, output)
  process.stderr.write(
    `The record stands at ${restored.madeAt}: devices revoked, suspended or decommissioned after that are admitted again.\n` +
      `Repeat what came later before devices reach it; then ${programName()} up --data ${data}\n`,
  )
}

/** @throws CommandFailed that says what is wrong; nothing is left then. */
export async function restoreBackup(
  backup: string,
  data: string,
  passphraseFile: string | null,
  env: NodeJS.ProcessEnv,
) {
  assertEmpty(data)
  const manifest = readManifest(backup)
  refuseNewer(backup, manifest)
  if (!existsSync(data)) makeDataDirectory(dirname(resolve(data)))
  const staging = stagingFor(data)
  try {
    await stage(backup, manifest, staging, passphraseFile)
    const { auditRows } = await verifyStaging(staging, env)
    assertEmpty(data, staging)
    putInPlace(staging, data)
    const { madeAt, version, epoch } = manifest
    return { data, madeAt, version, epoch, auditRows, files: manifest.files.length }
  } catch (error) {
    rmSync(staging, { recursive: true, force: true })
    if (error instanceof CommandFailed) throw error
    throw fileFault('the backup cannot be restored', data, error)
  }
}
