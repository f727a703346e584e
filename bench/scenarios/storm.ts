// A fleet that comes back all at once: how long until the last is in, how evenly they waited, and what a session that is
// there already notices. Run by hand: node bench/scenarios/storm.ts [devices]. ROLLCALL_BROKER_GATES sets the gates.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Identity } from '../../test/harness/authority.ts'
import { enrollFleet } from '../../test/harness/fleet.ts'
import { createRoll } from '../../test/harness/roll.ts'
import { cpuMicros, residentKib } from '../cpu.ts'
import type { Holding, Told } from '../holder.ts'
import { countPackets, openLink, publishPacket } from '../link.ts'
import { startServer } from '../servers.ts'

const devices = Number(process.argv[2] ?? 10_000)
const ADDRESSES = 100
const ASK_EVERY_MS = 20
const PUBACK = 4

const roll = await createRoll()
try {
  const members = await enrollFleet(roll, devices)
  const identity = await roll.enroll('present')
  const { data } = roll
  const fleet = {
    roll,
    data,
    root: roll.root.certificate,
    anchors: '',
    devices: [{ id: 'present', ...identity }],
  }
  const server = await startServer('rollcall', { ...fleet, backends: [], close: roll.close })
  try {
    const before = { cpu: cpuMicros(server.pid), memory: residentKib(server.pid) }
    const present = await watchSession(server.port, identity)
    await pause(1_000)
    say('round trip of a live session, quiet', ...spread(present.took()))
    const tookMs = await storm(server.port, members)
    const totalMs = Math.max(...tookMs)
    say('devices admitted', tookMs.length, `in ${(totalMs / 1_000).toFixed(2)} s`)
    say('wait for CONNACK', ...spread(tookMs), `p99 ÷ total ${(quantile(tookMs, 0.99) / totalMs).toFixed(2)}`)
    say('round trip of a live session meanwhile', ...spread(present.took()))
    say('broker', `${((cpuMicros(server.pid) - before.cpu) / devices).toFixed(0)} µs CPU per device`)
    say(
      'broker',
      `${((residentKib(server.pid) - before.memory) / devices).toFixed(1)} KiB per device, engine's process`,
    )
    present.stop()
  } finally {
    await server.stop()
  }
} finally {
  await roll.close()
}

async function storm(port: number, members: Holding['members']): Promise<number[]> {
  const file = join(roll.data, 'storm.json')
  const kept = members.map(({ id, certificate, key }) => ({ id, certificate, key }))
  const holding = { port, root: roll.root.certificate, members: kept, atOnce: devices, addresses: ADDRESSES }
  writeFileSync(file, JSON.stringify(holding satisfies Holding))
  const child = fork(fileURLToPath(import.meta.resolve('../holder.ts')), [file])
  const [told] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error('somebody was not admitted'))),
  ])) as [Told]
  child.disconnect()
  if (!('open' in told)) throw new Error('links closed before all were open')
  return told.tookMs
}

/** One device that is there before the storm and publishes at QoS 1 all the while. */
async function watchSession(port: number, { certificate, key }: Identity) {
  const link = await openLink(port, roll.root.certificate, { id: 'present', certificate, key })
  link.on('error', () => {})
  let took: number[] = []
  let sentAt = 0
  countPackets(link, PUBACK, () => {
    took.push(performance.now() - sentAt)
    sentAt = 0
  })
  const timer = setInterval(() => {
    if (sentAt !== 0) return
    sentAt = performance.now()
    link.write(publishPacket('devices/present/x', Buffer.from('here'), 1))
  }, ASK_EVERY_MS)
  return {
    took() {
      const seen = took
      took = []
      return seen
    },
    stop() {
      clearInterval(timer)
      link.destroy()
    },
  }
}

function quantile(values: number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

function spread(took: number[]): string[] {
  return [0.5, 0.99, 1].map(part => `p${part * 100} ${quantile(took, part).toFixed(1)} ms`)
}

function say(what: string, ...figures: (string | number)[]): void {
  process.stdout.write(`${what}: ${figures.join(', ')}\n`)
}
