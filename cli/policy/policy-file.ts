// A policy document in a file, YAML or JSON, and how two documents differ line by line.
// Refuses to judge a document: the service says every fault, with its path.
import { readFileSync } from 'node:fs'
import type { PolicyDocument } from '../../client/policy-types.ts'
import { CommandFailed, fileFault } from '../errors.ts'

const FILE_BYTES_MAX = 64 * 1024

/** Reads a file, or stdin where it is `-`. @throws CommandFailed where it is no YAML, or nothing with a name. */
export async function readPolicyFile(file: string): Promise<PolicyDocument> {
  const text = await textOf(file)
  const { parseDocument } = await import('yaml')
  const parsed = parseDocument(text, { prettyErrors: true })
  const [fault] = parsed.errors
  if (fault !== undefined) {
    const [line = ''] = fault.message.split('\n')
    throw new CommandFailed(
      `${file} is neither YAML nor JSON: ${line.replace(/:$/, '')}`,
      'topics with a variable need quotes in YAML: "devices/$' + '{device.id}/#"',
    )
  }
  const document = plainly(() => parsed.toJS({ maxAliasCount: 100 }), file) as { name?: unknown } | null
  if (typeof document !== 'object' || document === null || typeof document.name !== 'string') {
    throw new CommandFailed(
      `${file} holds no policy: it has no name`,
      'docs/policy.md shows what a document is',
    )
  }
  return document as PolicyDocument
}

/** Aliases that multiply are refused by the parser, in words of its own. */
function plainly(read: () => unknown, file: string): unknown {
  try {
    return read()
  } catch (error) {
    throw new CommandFailed(
      `${file} cannot be read: ${(error as Error).message}`,
      'write the policy without aliases',
    )
  }
}

async function textOf(file: string): Promise<string> {
  try {
    const bytes = file === '-' ? await stdin() : readFileSync(file)
    if (bytes.length > FILE_BYTES_MAX) throw new Error(`it is longer than ${FILE_BYTES_MAX} bytes`)
    return bytes.toString('utf8')
  } catch (error) {
    throw fileFault('the policy cannot be read', file, error)
  }
}

async function stdin(): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer)
    bytes += (chunk as Buffer).length
    if (bytes > FILE_BYTES_MAX) break
  }
  return Buffer.concat(chunks)
}

type Line = { mark: ' ' | '-' | '+'; text: string }

/** Each statement, and the limits, as one line of the comparison, so that a moved or changed one stands out as a whole. */
export function statementLines({ statements, limits = {} }: PolicyDocument): string[] {
  const limited = Object.entries(limits).map(([name, value]) => `${name} ${value}`)
  const lines = statements.map(({ effect, actions, topics, when }) =>
    [effect, actions.join(','), topics.join(' '), when?.qosMax === undefined ? '' : `qosMax ${when.qosMax}`]
      .filter(Boolean)
      .join('  '),
  )
  return limited.length > 0 ? [...lines, `limits  ${limited.join('  ')}`] : lines
}

/** What must go and what must come to make one list of the other: their longest common part stays. */
export function difference(before: readonly string[], after: readonly string[]): Line[] {
  const common: number[][] = Array.from({ length: before.length + 1 }, () =>
    new Array<number>(after.length + 1).fill(0),
  )
  for (let i = before.length - 1; i >= 0; i -= 1)
    for (let j = after.length - 1; j >= 0; j -= 1)
      common[i]![j] =
        before[i] === after[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!)
  const lines: Line[] = []
  let [i, j] = [0, 0]
  while (i < before.length || j < after.length) {
    if (i < before.length && before[i] === after[j]) {
      lines.push({ mark: ' ', text: before[i]! })
      i += 1
      j += 1
    } else if (j >= after.length || (i < before.length && common[i + 1]![j]! >= common[i]![j + 1]!)) {
      lines.push({ mark: '-', text: before[i]! })
      i += 1
    } else {
      lines.push({ mark: '+', text: after[j]! })
      j += 1
    }
  }
  return lines
}
