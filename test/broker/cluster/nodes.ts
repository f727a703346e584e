// Several broker nodes over one registry, with a bus and a database of their own, and clients that come to one of them.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { IClientOptions, MqttClient } from 'mqtt'
import { readBusAddress } from '../../../broker/bus/address.ts'
import type { BrokerSettings } from '../../../broker/settings/validation.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import type { Identity } from '../../harness/authority.ts'
import { type Listening, mqttClient, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { openInbox } from '../../harness/inbox.ts'
import { type NatsServer, startNats } from '../../harness/nats.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'
import { createRoll, type Roll } from '../../harness/roll.ts'
import type { NodeArguments } from './node-process.ts'

/** A node in a process of its own. */
export type NodeProcess = Listening & {
  name: string
  pid: number
  /** Resolves with its exit code; null where a signal ended it. */
  ended: Promise<number | null>
  /** Warnings and errors that it has logged. */
  log(): string
  signal(name: NodeJS.Signals): void
  kill(): Promise<void>
  close(): Promise<void>
}

export type Nodes = AsyncDisposable & {
  roll: Roll
  nats: NatsServer
  postgres: PostgresServer
  cluster: { bus: ReturnType<typeof readBusAddress>; postgres: ReturnType<typeof readPostgresSettings> }
  fork(name: string, port?: number, more?: Partial<NodeArguments>): Promise<NodeProcess>
  start(name: string, settings?: Partial<BrokerSettings>, postgresUrl?: string): Promise<TestBroker>
  /** A device of the group `backend`, which may do anything below `devices/`. */
  backend(id: string): Promise<Identity>
}

export async function createNodes(options: { durable?: boolean; directory?: string } = {}): Promise<Nodes> {
  const [roll, nats, postgres] = await Promise.all([createRoll(), startNats(), startPostgres(options)])
  const cluster = { bus: readBusAddress(nats.url), postgres: readPostgresSettings(postgres.url) }
  const running: TestBroker[] = []
  const processes: NodeProcess[] = []
  return {
    roll,
    nats,
    postgres,
    cluster,
    async start(name, settings = {}, postgresUrl = postgres.url) {
      const own = { ...cluster, postgres: readPostgresSettings(postgresUrl) }
      const broker = await startTestBroker({ roll, nodeId: name, cluster: own, settings })
      running.push(broker)
      return broker
    },
    async fork(name, port = 0, more = {}) {
      const log = join(roll.data, `${name}.log`)
      const given: NodeArguments = {
        ...{ data: roll.data, name, port, log },
        ...{
          bus: nats.url,
          postgres: postgres.url,
          hasReplica: false,
          gates: 0,
          sysIntervalMs: 0,
          isNext: false,
        },
        // Shorter than at machines, and longer than a node of a test waits for the processor on a busy one.
        times: { everyMs: 200, silentMs: 4_000 },
        ...more,
      }
      const file = fileURLToPath(import.meta.resolve('./node-process.ts'))
      const child = fork(file, [JSON.stringify(given)])
      const ended = once(child, 'exit').then(([code]) => code as number | null)
      const early = ended.then(code =>
        Promise.reject(new Error(`${name} ended with ${code}: ${readFileSync(log)}`)),
      )
      early.catch(() => {})
      const [ready] = (await Promise.race([once(child, 'message'), early])) as [{ port: number }]
      const node: NodeProcess = {
        name,
        broker: ready,
        roll,
        pid: child.pid ?? 0,
        ended,
        log: () => readFileSync(log, 'utf8'),
        signal: signal => void child.kill(signal),
        async kill() {
          child.kill('SIGKILL')
          await ended
        },
        async close() {
          if (child.connected) child.disconnect()
          await ended
        },
      }
      processes.push(node)
      return node
    },
    backend: id => roll.enroll(id, { groups: ['backend'] }),
    async [Symbol.asyncDispose]() {
      await Promise.all(processes.map(node => node.kill()))
      await Promise.all(running.map(({ broker }) => broker.close({ hurry: true })))
      await roll.close()
      await nats[Symbol.asyncDispose]()
      await postgres.close()
    },
  }
}

/** A client with what it was sent. */
export async function clientAt(
  node: Listening,
  id: string,
  identity: Identity,
  options: IClientOptions = {},
) {
  const client: MqttClient = await mqttClient(node, id, identity, options)
  client.on('error', () => {})
  return { client, inbox: openInbox(client) }
}

/** Prints how long something took. `since` is of `performance.now()`. */
export function tell(what: string, since: number): void {
  console.log(`${what} after ${Math.round(performance.now() - since)} ms`)
}
