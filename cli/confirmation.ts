// Asking a person before a command cuts or ends something. A program, which has no terminal, is not asked.
import { createInterface } from 'node:readline/promises'
import { type Command, Option } from 'commander'
import { CommandFailed, printable } from './errors.ts'

const NAMED_MAX = 8

export function withYes(command: Command): Command {
  return command.addOption(new Option('--yes', 'do not ask on a terminal'))
}

/** @throws CommandFailed where the answer is not yes */
export async function confirm(
  doing: string,
  names: readonly string[],
  yes: boolean | undefined,
): Promise<void> {
  if (yes === true || !process.stdin.isTTY || !process.stderr.isTTY) return
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : ''
  const named = names.length === 0 ? '' : ` ${names.slice(0, NAMED_MAX).map(printable).join(', ')}${more}`
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`${doing}${named}? [y/N] `)
    if (/^y(es)?$/i.test(answer.trim())) return
  } finally {
    terminal.close()
  }
  throw new CommandFailed('nothing was changed', 'answer y to go on, or call with --yes')
}
