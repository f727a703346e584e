// What every command gets alike once it is loaded: its examples, the question before it ends something, text that is wrapped once.
import type { Command } from 'commander'
import { askFirst } from './destructive.ts'
import { examples } from './examples.ts'

/** @param path the words of the command */
export function complete(command: Command, path: string): void {
  // Lines are as wide as the terminal: those of the source are no others.
  command.description(command.description().replace(/([^\n])\n(?!\n)/g, '$1 '))
  const given = examplesOf(path)
  if (given.length > 0)
    command.addHelpText('after', `\nExamples:\n${given.map(one => `  ${one}`).join('\n')}`)
  askFirst(command, path)
  for (const child of command.commands) complete(child, `${path} ${child.name()}`)
}

function examplesOf(path: string): string[] {
  return Object.hasOwn(examples, path) ? examples[path]!.map(line => `rollcall ${line}`) : []
}

/** Commands that may have been meant: by a noun, or by a verb alone, whose noun may stand behind it. At most three. */
export function nearestCommands(program: Command, words: readonly string[]): string[] {
  const [first = '', second = ''] = words
  const found: { path: string; edits: number; behind: number }[] = []
  const look = (command: Command, path: string) => {
    const noun = path.split(' ')[0]!
    if (path === noun) found.push({ path, edits: distance(first, noun), behind: 0 })
    else found.push({ path, edits: distance(first, command.name()), behind: distance(second, noun) })
    for (const child of command.commands) look(child, `${path} ${child.name()}`)
  }
  for (const command of program.commands) look(command, command.name())
  const least = Math.min(...found.map(({ edits }) => edits))
  if (least > Math.max(1, Math.floor(first.length / 3))) return []
  const near = found.filter(({ edits }) => edits === least)
  const named = near.filter(({ behind }) => behind <= 1)
  return (named.length > 0 ? named : near).slice(0, 3).map(({ path }) => `rollcall ${path}`)
}

/** Edits between two words (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
