// Names on the command line, and with - on standard input: each once, in the order given.
import { createInterface } from 'node:readline'
import { UsageError } from './errors.ts'

const NAMES_MAX = 1_000_000

/** `what` is one of them in words; `nameIn` finds it in a line. @throws UsageError where none is given, or a line is longer than one can be */
export async function namesOf(
  given: readonly string[],
  {
    what,
    charactersMax,
    nameIn = line => line.trim(),
  }: { what: string; charactersMax: number; nameIn?: (line: string) => string },
  input: NodeJS.ReadableStream = process.stdin,
): Promise<string[]> {
  const names = new Set<string>()
  for (const name of given) {
    if (name !== '-') names.add(name)
    else
      for await (const line of createInterface({ input })) {
        if (line.length > charactersMax) throw new UsageError(`a line of standard input is no ${what}`)
        if (line.trim() !== '') names.add(nameIn(line))
        if (names.size > NAMES_MAX) throw new UsageError(`more than ${NAMES_MAX} are given`)
      }
  }
  if (names.size === 0)
    throw new UsageError(`no ${what} is given`, 'give them as arguments, or one a line on standard input')
  return [...names]
}
