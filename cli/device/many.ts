// One verb on many devices, named on the command line or, with -, on standard input: each is done, and what failed is told at the end.
import { createInterface } from 'node:readline'
import { Argument } from 'commander'
import { ApiProblem } from '../../client/failures.ts'
import { CommandFailed, printable, UsageError } from '../errors.ts'

export const idsArgument = () =>
  new Argument('<ids...>', 'device IDs; - reads them from standard input, one a line')

const LINE_CHARACTERS_MAX = 1_024
const DEVICES_MAX = 1_000_000

/** Each ID once, in the order given. */
export async function idsOf(
  given: readonly string[],
  input: NodeJS.ReadableStream = process.stdin,
): Promise<string[]> {
  const ids = new Set<string>()
  for (const id of given) {
    if (id !== '-') ids.add(id)
    else
      for await (const line of createInterface({ input })) {
        if (line.length > LINE_CHARACTERS_MAX)
          throw new UsageError('a line of standard input is no device ID')
        if (line.trim() !== '') ids.add(line.trim())
        if (ids.size > DEVICES_MAX) throw new UsageError(`more than ${DEVICES_MAX} devices are given`)
      }
  }
  if (ids.size === 0)
    throw new UsageError('no device is named', 'give device IDs, or one a line on standard input')
  return [...ids]
}

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
