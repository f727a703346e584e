// Several broker nodes beside one of the same build, in one run: CPU of a message to another node, acknowledged messages to kept sessions,
// round trips, and takeover across nodes. PostgreSQL with all that makes it durable. `node bench/several-nodes.ts [--quick]`
import type { TLSSocket } from 'node:tls'
import { parseArgs } from 'node:util'
import { createNodes } from '../test/broker/cluster/nodes.ts'
import { forkBroker } from '../test/harness/fork.ts'
import { cpuMicros } from './cpu.ts'
import { closeClient, countPackets, openClient, publishPacket, subscribePacket } from './mqtt-client.ts'

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const ROUNDS = values.quick ? 3 : 7
const MESSAGES = values.quick ? 20_000 : 100_000
/** Of each publisher. */
const UNDER_WAY = 50
const TRIPS = values.quick ? 200 : 1_000
const [PUBLISH, PUBACK, SUBACK] = [3, 4, 9]
const payload = Buffer.alloc(128, 'x')

const nodes = await createNodes({ durable: true })
const [one, two] = [await nodes.fork('one'), await nodes.fork('two')]
const alone = await forkBroker(nodes.roll)
const identities = new Map<string, Awaited<ReturnType<typeof nodes.backend>>>()
const root = nodes.roll.root.certificate

async function client(port: number, id: string, clean = true): Promise<TLSSocket> {
  const identity = identities.get(id) ?? (await nodes.backend(id))
  identities.set(id, identity)
  return openClient(port, root, { id, ...identity }, { clean })
}

const median = (of: number[]) => of.toSorted((a, b) => a - b)[Math.floor(of.length / 2)]!
const percentile = (of: number[], p: number) =>
  of.toSorted((a, b) => a - b)[Math.min(of.length - 1, Math.floor(of.length * p))]!

async function subscribed(link: TLSSocket, filter: string, qos: 0 | 1): Promise<void> {
  const done = new Promise<void>(resolve => countPackets(link, SUBACK, () => resolve()))
  link.write(subscribePacket(filter, qos))
  await done
}

/** Sends so many in bursts of 100, and waits for each burst at the receiver. Gives µs of CPU of these processes for each. */
async function burst(from: TLSSocket, to: TLSSocket, topic: string, pids: number[]): Promise<number> {
  let received = 0
  let wake = () => {}
  countPackets(to, PUBLISH, () => {
    received += 1
    if (received % 100 === 0) wake()
  })
  const packet = Buffer.concat(Array.from({ length: 100 }, () => publishPacket(topic, payload, 0)))
  const before = pids.map(cpuMicros).reduce((a, b) => a + b)
  for (let sent = 0; sent < MESSAGES; sent += 100) {
    const all = new Promise<void>(resolve => {
      wake = resolve
    })
    from.write(packet)
    await all
  }
  return (pids.map(cpuMicros).reduce((a, b) => a + b) - before) / MESSAGES
}

async function qos0() {
  const figures: { alone: number; both: number }[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const local = [await client(alone.port, 'la'), await client(alone.port, 'lb')] as const
    await subscribed(local[1], 'devices/q0', 0)
    const ofOne = await burst(local[0], local[1], 'devices/q0', [alone.pid])
    const remote = [await client(one.broker.port, 'ra'), await client(two.broker.port, 'rb')] as const
    await subscribed(remote[1], 'devices/q0', 0)
    const ofBoth = await burst(remote[0], remote[1], 'devices/q0', [one.pid, two.pid])
    figures.push({ alone: ofOne, both: ofBoth })
    for (const link of [...local, ...remote]) await closeClient(link)
  }
  const a = median(figures.map(each => each.alone))
  const b = median(figures.map(each => each.both))
  console.log(
    `QoS 0, CPU: one node ${a.toFixed(1)} µs, publisher's and subscriber's node together ${b.toFixed(1)} µs, ${(b / a).toFixed(2)} x`,
  )
}

/** Publishers with so many under way each, to a stored session that is away, at the other node. */
async function qos1(): Promise<void> {
  const rates: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const kept = await client(two.broker.port, 'kept', false)
    await subscribed(kept, 'devices/q1', 1)
    await closeClient(kept)
    const links = await Promise.all(Array.from({ length: 20 }, (_, n) => client(one.broker.port, `p${n}`)))
    const began = performance.now()
    await Promise.all(
      links.map(link => {
        const each = MESSAGES / 4 / links.length
        let acknowledged = 0
        let sent = 0
        const send = () => {
          sent += 1
          link.write(publishPacket('devices/q1', payload, 1, (sent % 65_000) + 1))
        }
        return new Promise<void>(resolve => {
          countPackets(link, PUBACK, () => {
            acknowledged += 1
            if (acknowledged === each) resolve()
            else if (sent < each) send()
          })
          while (sent < UNDER_WAY) send()
        })
      }),
    )
    rates.push((MESSAGES / 4 / (performance.now() - began)) * 1_000)
    for (const link of links) await closeClient(link)
  }
  console.log(`QoS 1 to a stored session at the other node: ${Math.round(median(rates))}/s`)
}

async function roundTrips(): Promise<void> {
  const from = await client(one.broker.port, 'ta')
  const to = await client(two.broker.port, 'tb')
  await subscribed(to, 'devices/trip', 1)
  let arrived = () => {}
  let acknowledged = () => {}
  countPackets(to, PUBLISH, () => {
    arrived()
  })
  countPackets(from, PUBACK, () => {
    acknowledged()
  })
  to.on('data', () => {})
  const [trips, acks]: [number[], number[]] = [[], []]
  for (let n = 0; n < TRIPS; n += 1) {
    const began = performance.now()
    const both = Promise.all([
      new Promise<void>(resolve => {
        arrived = () => {
          trips.push(performance.now() - began)
          resolve()
        }
      }),
      new Promise<void>(resolve => {
        acknowledged = () => {
          acks.push(performance.now() - began)
          resolve()
        }
      }),
    ])
    from.write(publishPacket('devices/trip', payload, 1, (n % 60_000) + 1))
    await both
    to.write(Buffer.from([0x40, 2, ((n % 60_000) + 1) >> 8, ((n % 60_000) + 1) & 0xff]))
  }
  console.log(
    `QoS 1 round trip: PUBACK p50 ${median(acks).toFixed(2)} ms, at the subscriber of the other node p50 ${median(trips).toFixed(2)} ms, p99 ${percentile(trips, 0.99).toFixed(2)} ms`,
  )
  for (const link of [from, to]) await closeClient(link)
}

async function takeovers(): Promise<void> {
  for (const clean of [true, false]) {
    const [took, plain]: [number[], number[]] = [[], []]
    let last = await client(one.broker.port, 'mover', clean)
    for (let n = 0; n < TRIPS / 2; n += 1) {
      // The same without a move, for what the handshake takes.
      const again = performance.now()
      const port = (n % 2 === 0 ? one : two).broker.port
      const before = last
      last = await client(port, 'mover', clean)
      plain.push(performance.now() - again)
      before.destroy()
      const began = performance.now()
      const other = (n % 2 === 0 ? two : one).broker.port
      const moved = await client(other, 'mover', clean)
      took.push(performance.now() - began)
      last.destroy()
      last = moved
    }
    console.log(
      `takeover across nodes, ${clean ? 'clean' : 'stored'} session, CONNACK with handshake: p50 ${median(took).toFixed(1)} ms, p99 ${percentile(took, 0.99).toFixed(1)} ms; within a node p50 ${median(plain).toFixed(1)} ms, p99 ${percentile(plain, 0.99).toFixed(1)} ms`,
    )
    await closeClient(last)
  }
}

try {
  await qos0()
  await roundTrips()
  await takeovers()
  await qos1()
} finally {
  await alone.close()
  await nodes[Symbol.asyncDispose]()
}
