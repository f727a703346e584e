// A broker node in a process of its own, so that it can be killed. Its arguments as JSON; it tells its port, and ends with its parent.
import pino from 'pino'
import { readBusAddress } from '../../../broker/bus/address.ts'
import { startBroker } from '../../../broker/index.ts'
import { validateSettings } from '../../../broker/settings/validation.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { nextVersion } from './next-version.ts'

export type NodeArguments = {
  data: string
  name: string
  port: number
  bus: string
  postgres: string
  log: string
  isNext: boolean
}

const given = JSON.parse(process.argv[2]!) as NodeArguments
const broker = await startBroker({
  data: given.data,
  host: '127.0.0.1',
  port: given.port,
  settings: validateSettings({}),
  log: pino({ level: 'warn' }, pino.destination({ dest: given.log, sync: true })),
  nodeId: given.name,
  cluster: {
    bus: readBusAddress(given.bus),
    postgres: readPostgresSettings(given.postgres),
    times: { everyMs: 200, silentMs: 1_000 },
    versions: given.isNext ? nextVersion : undefined,
  },
  onFatal: () => process.exit(3),
})
process.on('disconnect', () => void broker.close({ hurry: true }).then(() => process.exit(0)))
process.send!({ port: broker.port })
