// How a command fails: exit codes, and errors that always carry what to do next.
// Refuses to know about any one command.

/** What a shell sees. Stable. */
export const exitCodes = { done: 0, failed: 1, usage: 2 } as const

/** Something that did not work; `hint` says what to do about it. Exit 1. */
export class CommandFailed extends Error {
  readonly hint: string

  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandFailed'
    this.hint = hint
  }
}

/** The command line itself makes no sense. Exit 2. */
export class UsageError extends CommandFailed {
  constructor(message: string, hint = 'add --help to see what is accepted') {
    super(message, hint)
    this.name = 'UsageError'
  }
}

export const inJson = (format: string | undefined) => format === 'json' || format === 'jsonl'

/**
 * Writes what was wrong and what to do: each on a line of its own, or as one JSON document where data is JSON. Gives the exit code.
 */
export function report(error: unknown, stderr: { write(text: string): unknown }, format?: string): number {
  if (inJson(format)) {
    stderr.write(`${jsonOf(documentOf(error))}\n`)
    return error instanceof UsageError ? exitCodes.usage : exitCodes.failed
  }
  const message = error instanceof Error ? error.message : String(error)
  stderr.write(`error: ${printable(message)}\n`)
  for (const line of detailsOf(error)) stderr.write(`  ${printable(line)}\n`)
  const hint = hintOf(error)
  if (hint) stderr.write(`hint: ${printable(hint)}\n`)
  if (isUnexpected(error)) stderr.write(`${error.stack}\n`)
  return error instanceof UsageError ? exitCodes.usage : exitCodes.failed
}

/** `reason` is that of the service's problem, `unreachable` where it gave no answer, or `usage` or `failed` of the command. */
function documentOf(error: unknown): Record<string, unknown> {
  const { reason, status, requestId, findings, code } = error as Record<string, unknown>
  const own = error instanceof UsageError ? 'usage' : typeof code === 'string' ? 'unreachable' : 'failed'
  return {
    error: error instanceof Error ? error.message : String(error),
    reason: typeof reason === 'string' ? reason : own,
    hint: hintOf(error),
    ...(typeof status === 'number' && { status, requestId: requestId ?? null }),
    ...(Array.isArray(findings) && findings.length > 0 && { findings }),
  }
}

/** What a terminal obeys or hides never reaches it from elsewhere: controls, changes of direction, invisible characters. */
export function printable(text: string): string {
  return text.replace(OBEYED, '\u{fffd}')
}

const OBEYED = /[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu

/** JSON with those characters as escapes: it says the same, and a terminal obeys none of it. */
export function jsonOf(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent)
  return isAscii(text) ? text : text.replace(OBEYED, found => found.split('').map(escapeOf).join(''))
}

/** Likewise where all texts are in the double quotes of YAML. */
export function quotedYaml(text: string): string {
  return text.replace(OBEYED, found => `\\U${found.codePointAt(0)!.toString(16).padStart(8, '0')}`)
}

/** Whether there is anything in it that is escaped. */
export const isObeyed = (text: string): boolean => !isAscii(text) && text.search(OBEYED) >= 0

const isAscii = (text: string) => /^[\n -~]*$/.test(text)
const escapeOf = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

/** The usual faults of a file, in words. */
export function fileFault(doing: string, file: string, error: unknown): CommandFailed {
  const code = (error as NodeJS.ErrnoException)?.code
  const [what, hint] = faults[code ?? ''] ?? [
    error instanceof Error ? error.message : String(error),
    `check ${file}`,
  ]
  return new CommandFailed(`${doing}: ${what} (${file})`, hint, { cause: error })
}

const faults: Record<string, [string, string]> = {
  ENOENT: ['no such file', 'check the path'],
  EACCES: ['permission denied', 'run as the owner of the file, or change its permissions'],
  EPERM: ['operation not permitted', 'run as the owner of the file, or change its permissions'],
  EROFS: ['the file system is read-only', 'name a place that can be written'],
  ENOSPC: ['the disk is full', 'free some space and run the command again'],
  EEXIST: ['it exists already', 'name another place, or move what is there out of the way'],
  ENOTDIR: ['a part of the path is no directory', 'check the path'],
  EISDIR: ['it is a directory', 'name a file'],
}

function hintOf(error: unknown): string | null {
  const { hint, reason } = (error ?? {}) as { hint?: unknown; reason?: unknown }
  // The service speaks of its routes, and the user typed a command.
  if (reason === 'request_invalid') return 'add --help to see what is accepted'
  return typeof hint === 'string' && hint !== '' ? hint : null
}

/** Findings of an API problem, one per field. */
function detailsOf(error: unknown): string[] {
  const findings = (error as { findings?: unknown })?.findings
  if (!Array.isArray(findings)) return []
  return findings.map(({ path, message }) => [path, message].filter(Boolean).join(': '))
}

/** A bug shows its stack; whatever was foreseen has a hint or a code and does not. */
function isUnexpected(error: unknown): error is Error {
  return (
    error instanceof TypeError ||
    error instanceof ReferenceError ||
    (error instanceof RangeError && !hintOf(error))
  )
}
