// The sim command alone as a program, for tests of what only a process shows: signals, streams, exit codes.
import { Command } from 'commander'
import { simCommand } from '../../../cli/sim.ts'

// A program that ends well sets 0: what a run found out must not be lost by that.
await new Command('rollcall').addCommand(simCommand()).parseAsync()
process.exitCode = 0
