// `rollcall backup FILE`: a consistent copy of the registry while everything runs. Reads the file itself: no service
// is needed, and no key is copied.
import { existsSync } from 'node:fs'
import { Command } from 'commander'
import { closeRegistry } from '../db/index.ts'
import { backup, openForReading } from '../db/open.ts'
import { RegistryError } from '../db/registry-error.ts'
import { dataPaths } from './data-directory.ts'
import { CommandFailed, fileFault } from './errors.ts'
import { type Format, outputOption, printDocument } from './output.ts'

export function backupCommand(): Command {
  return new Command('backup')
    .description(
      'Copies the registry of a data directory into a new file (0600), consistently and while everything runs.\n' +
        'The keys in DIR/keys and DIR/admin.token are not part of it: keep a copy of them elsewhere.',
    )
    .argument('<file>', 'file to make')
    .requiredOption('--data <dir>', 'data directory')
    .addOption(outputOption())
    .action(async (file: string, flags: { data: string; output: Format }) => {
      if (existsSync(file)) throw new CommandFailed(`${file} exists already`, 'name a new file')
      const { bytes } = await copy(dataPaths(flags.data).registry, file)
      await printDocument({ file, bytes }, flags.output)
    })
}

async function copy(registryFile: string, target: string): Promise<{ bytes: number }> {
  try {
    const registry = openForReading(registryFile)
    try {
      return await backup(registry, target)
    } finally {
      await closeRegistry(registry)
    }
  } catch (error) {
    if (error instanceof RegistryError) {
      throw new CommandFailed(`the registry cannot be copied: ${error.message}`, 'check --data', {
        cause: error,
      })
    }
    throw fileFault('the backup cannot be written', target, error)
  }
}
