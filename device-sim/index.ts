// The simulator as one function: text options in, a report on stdout, words on stderr, an exit code out.
import { BadUsage, RunFailed } from './failure.ts'
import { type RawOptions, readOptions } from './options.ts'
import { createProgress } from './progress.ts'
import { renderReport } from './report.ts'
import { simulate } from './simulation.ts'
import { findTarget, requireConsent } from './target.ts'

export type { RawOptions } from './options.ts'
export type { Report } from './report.ts'

export type Io = {
  env: Record<string, string | undefined>
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
  signal: AbortSignal
  /** Of the program, for the report. */
  version?: string
}

/** 0 all good · 1 failed to run or to prove · 2 usage · 99 a rogue got in or a threshold was breached. */
export type ExitCode = 0 | 1 | 2 | 99

/** Never throws for what a user can cause: it says what is wrong on stderr and returns the exit code. */
export async function runSimulator(raw: RawOptions, { env, stdout, stderr, signal }: Io): Promise<ExitCode> {
  try {
    const options = readOptions(raw)
    const target = findTarget(raw, env)
    requireConsent(options, target.broker)
    const report = await simulate(options, target, { progress: createProgress(stderr), signal })
    await write(stdout, renderReport(report, options.output, stdout))
    if (options.output !== 'table') {
      for (const breach of report.verdict.breaches) stderr.write(`failed: ${breach.message}\n`)
    }
    return report.verdict.exitCode
  } catch (error) {
    if (error instanceof BadUsage) {
      for (const problem of error.problems) stderr.write(`error: ${problem}\n`)
      stderr.write('hint: rollcall sim --help shows what is accepted\n')
      return 2
    }
    if (error instanceof RunFailed) {
      stderr.write(`error: ${error.message}\n`)
      if (error.hint) stderr.write(`hint: ${error.hint}\n`)
      return 1
    }
    throw error
  }
}

function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, error => (error ? reject(error) : resolve()))
  })
}
