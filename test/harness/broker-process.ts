// A broker in a process of its own, so that its memory can be measured apart from the test's.
// Run by `forkBroker`; answers `memory` messages after a full collection.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import pino from 'pino'
import { judgeSettings } from '../../broker/config.ts'
import { startBroker } from '../../broker/index.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const broker = await startBroker({
  data: process.argv[2]!,
  host: '127.0.0.1',
  port: Number(process.argv[3] ?? 0),
  settings: judgeSettings(JSON.parse(process.argv[4] ?? '{}')),
  log: pino({ level: 'silent' }),
})
process.on('disconnect', () => void broker.close())
process.on('message', async () => {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  process.send!({ bytes: heapUsed + external, metrics: await broker.metrics() })
})
process.send!({ port: broker.port })
