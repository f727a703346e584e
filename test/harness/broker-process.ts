// A broker in a process of its own, so that its memory can be measured apart from the test's.
// Run by `forkBroker`; answers `memory` messages after a full collection, `sessions` at once, and sets its clock where it was given one.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import pino from 'pino'
import { startBroker } from '../../broker/index.ts'
import { validateSettings } from '../../broker/settings/validation.ts'

const { Bun: bun } = globalThis as { Bun?: { gc(now: boolean): void } }
if (bun === undefined) setFlagsFromString('--expose-gc')
const SETTLE_MS = 20
const SETTLED_BYTES = 65_536
const collect: () => void = bun ? () => bun.gc(true) : runInNewContext('gc')

/** In ms since the epoch; null where time passes by itself. */
let clock: number | null = process.argv[5] === undefined ? null : Number(process.argv[5])

const broker = await startBroker({
  data: process.argv[2]!,
  host: '127.0.0.1',
  port: Number(process.argv[3] ?? 0),
  settings: validateSettings(JSON.parse(process.argv[4] ?? '{}')),
  log: pino({ level: 'silent' }),
  now: () => clock ?? Date.now(),
})
process.on('disconnect', () => void broker.close())
process.on('message', async (message: 'memory' | 'sessions' | { clock: number }) => {
  if (message === 'sessions') {
    process.send!({ sessions: broker.sessions() })
    return
  }
  if (message !== 'memory') {
    clock = message.clock
    process.send!({ clock })
    return
  }
  process.send!({ bytes: await inUse(), metrics: await broker.metrics() })
})

/** Buffers are given back some turns after the collection that found them unused. */
async function inUse(): Promise<number> {
  for (let before = Number.POSITIVE_INFINITY; ; ) {
    collect()
    await new Promise(resolve => setTimeout(resolve, SETTLE_MS))
    const { heapUsed, external } = process.memoryUsage()
    const bytes = heapUsed + external
    if (bytes > before - SETTLED_BYTES) return Math.min(bytes, before)
    before = bytes
  }
}
process.send!({ port: broker.port })
