// The sim command alone as a program, for tests of what only a process shows: signals, streams, exit codes.
import { run } from '../../../cli/program.ts'

process.exitCode = await run(process.argv.slice(2), '0.0.0')
