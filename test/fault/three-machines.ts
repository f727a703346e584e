// Three machines as an operator runs them, each with broker and provisioning service, over one PostgreSQL and a NATS cluster of two servers.
// The way of each machine to each of these can be cut, and so can the one between the servers.
import { cpSync, mkdirSync } from 'node:fs'
import { anyPorts, type System, type SystemOptions, type scratch, startSystem } from '../e2e/system.ts'
import { type NatsServer, startNats } from '../harness/nats.ts'
import { type PostgresServer, startPostgres } from '../harness/postgres.ts'
import { startLink, type TcpLink } from '../harness/tcp-link.ts'

export type Machine = {
  name: string
  system: System
  /** Its ways to PostgreSQL and to NATS. */
  database: TcpLink
  bus: TcpLink
}

export type ThreeMachines = AsyncDisposable & {
  machines: [Machine, Machine, Machine]
  postgres: PostgresServer
  /** The first machine uses the first one, the others the second one. */
  nats: [NatsServer, NatsServer]
  /** Between the two servers. */
  route: TcpLink
  /** Puts another server at the place of one. */
  restartBus(at: 0 | 1): Promise<void>
}

export const NAMES = ['one', 'two', 'three'] as const

/** `of` are options of single machines, such as a clock of its own. */
export async function startThreeMachines(
  world: ReturnType<typeof scratch>,
  { directory, of = {} }: { directory?: string; of?: Partial<Record<string, SystemOptions>> } = {},
): Promise<ThreeMachines> {
  const postgres = await startPostgres({ durable: true, ...(directory === undefined ? {} : { directory }) })
  const own = (more: string) => `cluster { name: test, listen: "127.0.0.1:-1", no_advertise: true${more} }`
  const first = await startNats(own(''))
  const routePort = () =>
    Number(/Listening for route connections on [^\n]*:(\d+)/.exec(nats[0].output())?.[1])
  const nats: [NatsServer, NatsServer] = [first, first]
  const route = await startLink(routePort)
  const toFirst = own(`, routes: ["nats-route://127.0.0.1:${route.port}"]`)
  nats[1] = await startNats(toFirst)

  const machines: Machine[] = []
  const close = async () => {
    await Promise.allSettled(machines.map(({ system }) => system.killAll()))
    for (const { database, bus } of machines) for (const link of [database, bus]) link.close()
    route.close()
    for (const server of nats) await server[Symbol.asyncDispose]()
    await postgres.close()
  }
  try {
    for (const [at, name] of NAMES.entries()) {
      const database = await startLink(() => Number(new URL(postgres.url).port))
      const bus = await startLink(() => nats[at === 0 ? 0 : 1].port)
      if (at > 0) {
        mkdirSync(world.at(name))
        for (const file of ['ca.crt', 'issuing.crt', 'admin.token', 'audit.pub', 'keys'])
          cpSync(world.at('one', file), world.at(name, file), {
            recursive: true,
            filter: path => !/\.lock$|server\.key$/.test(path),
          })
      }
      const registry = postgres.url.replace(/:\d+\//, `:${database.port}/`)
      const system = await startSystem(world.at(name), {
        ...of[name],
        flags: [...anyPorts, '--node', name, '--registry', registry, '--bus', `nats://127.0.0.1:${bus.port}`],
      })
      machines.push({ name, system, database, bus })
    }
  } catch (error) {
    await close()
    throw error
  }
  return {
    machines: machines as [Machine, Machine, Machine],
    postgres,
    nats,
    route,
    async restartBus(at) {
      const { port } = nats[at]
      await nats[at].stop()
      nats[at] = await startNats(at === 0 ? own('') : toFirst, port)
    },
    [Symbol.asyncDispose]: close,
  }
}
