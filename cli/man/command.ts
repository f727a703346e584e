// `rollcall man`: a manual page for each command, in section 1, made from the commands themselves.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { fileFault } from '../errors.ts'
import { manualPages } from './pages.ts'

/** @param load makes the whole program, every noun of it */
export function manCommand(load: () => Promise<Command>, version: string): Command {
  return new Command('man')
    .description(
      'Writes the manual pages of rollcall into a directory: rollcall.1, rollcall-device.1 and so on.',
    )
    .argument('<dir>', 'directory, made where there is none')
    .addHelpText(
      'after',
      '\nExamples:\n  rollcall man /usr/local/share/man/man1\n  rollcall man man1 && man ./man1/rollcall-device.1',
    )
    .action(async (directory: string) => {
      const pages = manualPages(await load(), version)
      try {
        await mkdir(directory, { recursive: true })
        for (const [name, page] of pages) await writeFile(join(directory, name), page)
      } catch (error) {
        throw fileFault('the manual pages cannot be written', directory, error)
      }
      process.stderr.write(`${pages.size} manual pages are in ${directory}\n`)
    })
}
