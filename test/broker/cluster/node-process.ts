// A broker node in a process of its own, so that it can be killed. Its arguments as JSON; it tells its port, and ends with its parent.
import pino from 'pino'
import { readBusAddress } from '../../../broker/bus/address.ts'
import { startBroker } from '../../../broker/index.ts'
import type { PresenceTimes } from '../../../broker/mqtt/cluster/presence.ts'
import { validateSettings } from '../../../broker/settings/validation.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { nextVersion } from './next-version.ts'

export type NodeArguments = {
  data: string
  name: string
  port: number
  /** Null for a node that shares no sessions. */
  bus: string | null
  postgres: string
  /** Whether the registry is in PostgreSQL, too. */
  hasReplica: boolean
  gates: number
  sysIntervalMs: number
  /** When nodes look at each other; null for what brokers do by default. */
  times: PresenceTimes | null
  log: string
  /** Of the next version. */
  isNext: boolean
}

const given = JSON.parse(process.argv[2]!) as NodeArguments
const postgres = readPostgresSettings(given.postgres)
const broker = await startBroker({
  data: given.data,
  host: '127.0.0.1',
  port: given.port,
  settings: validateSettings({ gates: given.gates, sysIntervalMs: given.sysIntervalMs }),
  log: pino({ level: 'warn' }, pino.destination({ dest: given.log, sync: true })),
  nodeId: given.name,
  shared: given.hasReplica ? { settings: postgres, node: given.name } : null,
  cluster:
    given.bus === null
      ? undefined
      : {
          bus: readBusAddress(given.bus),
          postgres,
          times: given.times ?? undefined,
          versions: given.isNext ? nextVersion : undefined,
        },
  onFatal: () => process.exit(3),
})
process.on('disconnect', () => void broker.close({ hurry: true }).then(() => process.exit(0)))
process.send!({ port: broker.port })
