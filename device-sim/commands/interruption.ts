// What Ctrl-C means to a simulated run: the first ends it with its report, the second at once.
// Refuses to know what is run.
import type { CommandContext, ExitCode } from '../command-context.ts'

/** Does the work of a command and sets the exit code of this process. */
export type Carry = (work: (context: CommandContext) => Promise<ExitCode>) => Promise<void>

/** Carries the work out on the streams of this process and sets its exit code. */
export async function interruptible(
  version: string,
  work: (context: CommandContext) => Promise<ExitCode>,
): Promise<void> {
  const interruption = new AbortController()
  const interrupt = (): void => {
    // The second time is meant.
    if (interruption.signal.aborted) process.exit(130)
    interruption.abort()
  }
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  try {
    const { env, stdout, stderr } = process
    process.exitCode = await work({ env, stdout, stderr, signal: interruption.signal, version })
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
}
