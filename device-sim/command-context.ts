// What the command line passes to the simulator, and its exit codes. Types alone.

export type CommandContext = {
  env: Record<string, string | undefined>
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
  signal: AbortSignal
  /** Aborted to end a run as when its time is up. */
  timeUp?: AbortSignal
  /** Of the program, for the summary. */
  version?: string
}

/** 0 all good · 1 failed to run or to prove · 2 usage · 99 a device wrongly admitted or refused, or a threshold breached. */
export type ExitCode = 0 | 1 | 2 | 99
