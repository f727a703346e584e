// Preloaded into a broker under measure: how long its event loop was held, in ms of CPU of that thread, which other processes on the
// machine do not lengthen. A line for each half second in the file that the environment names: the time, and the longest hold.
import { appendFileSync } from 'node:fs'

const PROBE_MS = 1
const TELL_MS = 500
const file = process.env['BENCH_HELD_FILE']!
let longest = 0
let before = cpuMs()

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

setInterval(() => {
  const now = cpuMs()
  longest = Math.max(longest, now - before)
  before = now
}, PROBE_MS).unref()
setInterval(() => {
  appendFileSync(file, `${Date.now()} ${longest.toFixed(1)}\n`)
  longest = 0
  before = cpuMs()
}, TELL_MS).unref()
