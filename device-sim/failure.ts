// The two ways a run can end before it has anything to report. Both carry what to do about it.

/** The run could not be carried out (exit 1). */
export class RunFailed extends Error {
  readonly hint: string | null

  constructor(message: string, { hint = null, cause }: { hint?: string | null; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'RunFailed'
    this.hint = hint
  }
}

/** The command cannot be carried out as given (exit 2). Lists every problem. */
export class BadUsage extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'BadUsage'
    this.problems = problems
  }
}
