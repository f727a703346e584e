// A provisioning service in a process of its own that says how long its event loop was held: node service.ts DATA.
// Asked over IPC: 'begin' starts anew, 'end' is answered with the longest hold since, in ms by the clock and of CPU.
import { createProvisioning } from '../../provisioning/index.ts'

const PROBE_MS = 1
const service = await createProvisioning(
  { data: process.argv[2]!, host: '127.0.0.1', apiPort: 0, sans: [], log: 'silent', receiptTimeoutMs: 20 },
  { ROLLCALL_API_REQUESTS_PER_MINUTE: '10000000', ROLLCALL_API_FAILURES_PER_MINUTE: '1000000' },
)
let held = { ms: 0, cpuMs: 0 }
let [at, cpu] = [performance.now(), cpuMs()]

/** Of this thread alone: other processes on the machine do not count. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

setInterval(() => {
  const [now, used] = [performance.now(), cpuMs()]
  held = { ms: Math.max(held.ms, now - at - PROBE_MS), cpuMs: Math.max(held.cpuMs, used - cpu) }
  ;[at, cpu] = [now, used]
}, PROBE_MS)

process.on('message', message => {
  if (message === 'metrics') void service.metrics().then(() => process.send!('done'))
  if (message === 'begin') {
    held = { ms: 0, cpuMs: 0 }
    process.send!('begun')
  }
  if (message === 'end') process.send!(held)
  if (message === 'stop') void service.close().then(() => process.exit(0))
})
process.send!({ url: service.url, statusUrl: service.statusUrl })
