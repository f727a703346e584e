// `rollcall-sim` as a program of its own: the command, its help and its exit codes. Does not know what the command does.
import { type Command, CommanderError } from 'commander'
import { simCommand } from './command.ts'

/** Runs one command line (without node and script) and sets the exit code: 0, 1, 2 usage, or 99. */
export async function runProgram(args: readonly string[], version: string): Promise<void> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  const command = simCommand('rollcall-sim', version)
    .exitOverride()
    .showHelpAfterError('hint: add --help to see what is accepted')
    .addHelpText(
      'after',
      '\nExit codes: 0 passed, 1 not proven, 2 usage, 99 failed. Data goes to stdout, words to stderr.',
    )
    .version(version, '--version', 'print the version')
  for (const child of command.commands) inherit(child, command)
  try {
    await command.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    process.exitCode = error.exitCode === 0 ? 0 : 2
  }
}

/** commander hands its settings down only to commands it made itself. */
function inherit(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent)
  for (const child of command.commands) inherit(child, command)
}
