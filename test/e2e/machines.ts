// Machines as an operator runs them, on one PostgreSQL and, where they have one, one bus; and what is known of the gates of one.
import { cpSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../cli/running.ts'
import { childrenOf } from '../harness/child-processes.ts'
import type { PostgresServer } from '../harness/postgres.ts'
import { anyPorts, type System, type SystemOptions, type scratch, startSystem } from './system.ts'

type World = ReturnType<typeof scratch>

/** Nodes are named `one` and `other`. */
export function startMachines(
  world: World,
  postgres: PostgresServer,
  options: SystemOptions,
): Promise<[one: System, other: System]> {
  return startNamed(world, postgres, options, ['one', 'other'])
}

/** The first machine makes the CA; the others get a copy of it. */
export async function startNamed<const Names extends readonly string[]>(
  world: World,
  postgres: PostgresServer,
  { flags = [], ...options }: SystemOptions,
  names: Names,
): Promise<{ -readonly [At in keyof Names]: System }> {
  const started: System[] = []
  try {
    for (const node of names) {
      if (node !== names[0]) copyCa(world.at(names[0]!), world.at(node))
      const own = [...anyPorts, '--registry', postgres.url, '--node', node, ...flags]
      started.push(await startSystem(world.at(node), { ...options, flags: own }))
    }
  } catch (error) {
    await Promise.allSettled(started.map(system => system[Symbol.asyncDispose]()))
    throw error
  }
  return started as { -readonly [At in keyof Names]: System }
}

function copyCa(from: string, to: string): void {
  mkdirSync(to)
  for (const name of ['ca.crt', 'issuing.crt', 'admin.token', 'audit.pub', 'keys'])
    cpSync(join(from, name), join(to, name), {
      recursive: true,
      filter: path => !/\.lock$|server\.key$/.test(path),
    })
}

export type Receipt = {
  nodesTotal: number
  nodesAcknowledged: number
  sessionsCut: number
  unreachable: string[]
}

/** Makes a change that can be made again, until its receipt is complete: a busy machine takes longer than a receipt waits. */
export async function completeReceipt(change: () => Promise<Receipt>): Promise<Receipt> {
  let receipt = await change()
  await until(async () => {
    if (receipt.unreachable.length > 0) receipt = await change()
    return receipt.unreachable.length === 0
  }, 'a receipt is complete')
  return receipt
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
