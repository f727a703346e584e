// Two machines as an operator runs them, on one PostgreSQL and, where they have one, one bus; and what is known of the gates of one.
import { cpSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { PostgresServer } from '../harness/postgres.ts'
import { anyPorts, childrenOf, type System, type SystemOptions, type scratch, startSystem } from './system.ts'

/** The first machine makes the CA; the second one gets a copy of it. Nodes are named `one` and `other`. */
export async function startMachines(
  world: ReturnType<typeof scratch>,
  postgres: PostgresServer,
  { flags = [], ...options }: SystemOptions,
): Promise<[one: System, other: System]> {
  const as = (node: string) => ({
    ...options,
    flags: [...anyPorts, '--registry', postgres.url, '--node', node, ...flags],
  })
  const one = await startSystem(world.at('one'), as('one'))
  try {
    mkdirSync(world.at('other'))
    for (const name of ['ca.crt', 'issuing.crt', 'admin.token', 'audit.pub', 'keys'])
      cpSync(world.at('one', name), world.at('other', name), {
        recursive: true,
        filter: path => !/\.lock$|server\.key$/.test(path),
      })
    return [one, await startSystem(world.at('other'), as('other'))]
  } catch (error) {
    await one[Symbol.asyncDispose]()
    throw error
  }
}

/** The processes of its gates. */
export function gatesOf(system: System): number[] {
  return childrenOf(system.childPid('broker'))
}

/** How many devices each gate has, by its process. */
export function devicesByGate(system: System): Map<number, number> {
  const port = system.mqttsPort.toString(16).toUpperCase().padStart(4, '0')
  const [, ...lines] = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n')
  const established = new Set(
    lines
      .map(line => line.trim().split(/\s+/))
      .filter(([, local, , state]) => local?.endsWith(`:${port}`) && state === '01')
      .map(fields => `socket:[${fields[9]}]`),
  )
  return new Map(
    gatesOf(system).map(pid => [pid, descriptorsOf(pid).filter(link => established.has(link)).length]),
  )
}

function descriptorsOf(pid: number): string[] {
  const directory = `/proc/${pid}/fd`
  return readdirSync(directory).flatMap(name => {
    try {
      return readlinkSync(`${directory}/${name}`)
    } catch {
      return [] // closed meanwhile
    }
  })
}
