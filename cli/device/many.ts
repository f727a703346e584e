// One verb on many devices, named on the command line or, with -, on standard input: each is done, and what failed is told at the end.
import { Argument } from 'commander'
import { ApiProblem } from '../../client/failures.ts'
import { CommandFailed, printable } from '../errors.ts'
import { namesOf } from '../given-names.ts'

export const idsArgument = () =>
  new Argument('<ids...>', 'device IDs; - reads them from standard input, one a line')

/** Each ID once, in the order given. */
export const idsOf = (given: readonly string[], input?: NodeJS.ReadableStream): Promise<string[]> =>
  namesOf(given, { what: 'device ID', charactersMax: 1_024 }, input)

/**
 * Does it to each, one after the other.
 * @throws the failure of the only one, or CommandFailed that counts those of many
 */
export async function forEachDevice<Result>(
  ids: readonly string[],
  work: (id: string) => Promise<Result>,
  done: (result: Result) => Promise<void> | void,
): Promise<void> {
  const failures: { id: string; error: ApiProblem }[] = []
  for (const id of ids) {
    try {
      await done(await work(id))
    } catch (error) {
      // Without an answer of the service none of the others has one.
      if (ids.length === 1 || !(error instanceof ApiProblem)) throw error
      failures.push({ id, error })
      process.stderr.write(`${printable(id)}: ${printable(error.message)}\n`)
    }
  }
  if (failures.length === 0) return
  const hints = [...new Set(failures.map(({ error }) => error.hint).filter(Boolean))]
  throw new CommandFailed(`${failures.length} of ${ids.length} devices were refused`, hints[0] ?? 'see above')
}
