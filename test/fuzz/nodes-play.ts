// Plays random steps on three nodes and tells the model what was answered. Every so often all faults end, and what must have come is awaited.
import { setTimeout as delay } from 'node:timers/promises'
import { type IClientOptions, type MqttClient, Store } from 'mqtt'
import type { Nodes } from '../broker/cluster/nodes.ts'
import type { Identity } from '../harness/authority.ts'
import { tester } from '../harness/roll.ts'
import { ANSWER_MS, answered, CONNECT_MS, createLinks, randomOf, SETTLE_MS } from './nodes-links.ts'
import { createNodesModel, type Qos, type Seen } from './nodes-model.ts'
import { startNodes } from './nodes-running.ts'

const READERS = ['r0', 'r1', 'r2', 'r3']
const PUBLISHERS = ['p0', 'p1', 'p2']
const FILTERS = ['devices/a/#', 'devices/a/x', 'devices/b/#', '$share/g/devices/s/#']
const TOPICS = ['devices/a/x', 'devices/a/y', 'devices/b/x', 'devices/s/x']
const RETAINED = ['devices/k/x', 'devices/k/y']
const SETTLE_EVERY = 50
const HISTORY = 60

type Link = { client: MqttClient; node: number }
type Identified = Identity & { fingerprint: string }

export async function playNodes(nodes: Nodes, seed: number, steps: number) {
  const random = randomOf(seed)
  const pick = <One>(of: readonly One[]): One => of[Math.floor(random() * of.length)]!
  const model = createNodesModel()
  const identities = new Map<string, Identified>()
  const links = new Map<string, Link>()
  const stores = new Map<string, IClientOptions>()
  /** What each session, and what all, were sent. */
  const seen = new Map<string, Seen[]>()
  const all: string[] = []
  const wrong: string[] = []
  const counts: Record<string, number> = {}
  /** Since all was last settled. */
  const departed: { will: string; node: number }[] = []
  const history: string[] = []
  let number = 0

  for (const id of [...READERS, ...PUBLISHERS, 'looker'])
    identities.set(id, (await nodes.backend(id)) as Identified)
  const system = await startNodes(nodes, at => {
    model.killed()
    history.push(`${at} has ended`)
    for (const [id, link] of links) if (link.node === at) end(id)
    for (const { will, node } of departed) if (node === at) model.permit(will)
  })
  const { isCalm, revive, logs } = system
  const { open, compareRetained } = createLinks(nodes, system.running, identities, revive)
  const isLive = (id: string) => links.get(id)?.client.connected === true

  async function connectReader(
    id: string,
    node: number,
    isKept: boolean,
    waitMs = ANSWER_MS,
  ): Promise<boolean> {
    const before = links.get(id)
    const session = model.sessions().get(id)
    if (!isKept || session?.isKept !== true) stores.set(id, { incomingStore: new Store({ clean: false }) })
    const opened = await open(id, node, { clean: !isKept, ...stores.get(id) }, waitMs)
    const { client } = opened
    let own = isKept && session?.isKept === true ? seen.get(id)! : []
    client.on('message', (topic, payload, { qos }) => {
      if (topic.startsWith('devices/k/')) return
      own.push({ payload: String(payload), qos })
      all.push(String(payload))
    })
    const isPresent = await opened.isPresent
    if (isPresent === null) {
      client.end(true)
      if (!isKept || session?.isKept !== true) model.unanswered(id)
      return false
    }
    before?.client.end(true)
    const mayBe = model.isUncertain(id)
    const expected = model.connected(id, isKept)
    if (expected && !isPresent) {
      wrong.push(`the session of ${id} was lost, ${where()}`)
    }
    if (!expected && isPresent && !mayBe) wrong.push(`${id} has a session that ended, ${where()}`)
    if (!expected) own = own.slice()
    seen.set(id, own)
    links.set(id, { client, node })
    return true
  }

  function end(id: string): void {
    links.get(id)?.client.end(true)
    links.delete(id)
    model.disconnected(id)
  }

  const where = () => `after ${history.slice(-HISTORY).join(', ')}`
  /** What the step that runs is about. */
  const told = (what: string) => void history.push(`${history.pop()} ${what}`)

  const lines = new Map<string, { line: string; will: string }>()
  async function connectPublisher(id: string): Promise<Link | null> {
    if (isLive(id)) return links.get(id)!
    const will = `will ${number++}`
    model.sent(will, { topic: 'devices/a/will', qos: 2, line: will })
    const payload = Buffer.from(will)
    const node = Math.floor(random() * 3)
    const options = { will: { topic: 'devices/a/will', payload, qos: 2 as const, retain: false } }
    const { client, isPresent } = await open(id, node, options, ANSWER_MS)
    if ((await isPresent) === null) {
      client.end(true)
      return null
    }
    const link = { client, node }
    links.set(id, link)
    lines.set(id, { line: `${id} ${number++}`, will })
    return link
  }

  const moves: Record<string, [weight: number, step: () => Promise<void>]> = {
    connect: [
      8,
      async () => {
        const [id, node, isKept] = [pick(READERS), Math.floor(random() * 3), random() < 0.8]
        const isIn = await connectReader(id, node, isKept)
        told(`${id} at ${node}${isKept ? '' : ', clean'}${isIn ? '' : ', in vain'}`)
      },
    ],
    leave: [
      3,
      async () => {
        const id = pick(READERS)
        end(id)
        told(id)
      },
    ],
    subscribe: [
      10,
      async () => {
        const [id, filter, qos] = [pick(READERS), pick(FILTERS), pick([0, 1, 2] as const)]
        if (!isLive(id)) return
        const isDone = await answered(links.get(id)!.client.subscribeAsync(filter, { qos }))
        model.subscribed(id, filter, isDone ? qos : null, seen.get(id)!)
        told(`${id} to ${filter} at ${qos}`)
        if (!isDone) end(id)
      },
    ],
    unsubscribe: [
      2,
      async () => {
        const [id, filter] = [pick(READERS), pick(FILTERS)]
        if (!isLive(id)) return
        const isDone = await answered(links.get(id)!.client.unsubscribeAsync(filter))
        model.unsubscribed(id, filter, isDone, seen.get(id)!)
        told(`${id} from ${filter}`)
        if (!isDone) end(id)
      },
    ],
    publish: [
      25,
      async () => {
        const [id, topic, isRetained] = [pick(PUBLISHERS), pick(TOPICS), random() < 0.15]
        const burst = Array.from({ length: 1 + Math.floor(random() * 6) }, () => pick([0, 1, 2] as const))
        const link = await connectPublisher(id)
        if (link === null) return
        const { line } = lines.get(id)!
        told(
          `${line} from ${number} on at ${link.node}, ${isRetained ? 'retained' : topic} at ${burst.join('')}`,
        )
        const sent = burst.map(async (qos: Qos) => {
          const to = isRetained ? RETAINED[number % 2]! : topic
          const payload = `${line} ${number++}`
          const given = isRetained && qos === 0 ? 1 : qos
          model.sent(payload, { topic: to, qos: given, line }, isRetained)
          await link.client.publishAsync(to, payload, { qos: given, retain: isRetained })
          model.acknowledged(payload)
          counts[`acknowledged at QoS ${given}`] = (counts[`acknowledged at QoS ${given}`] ?? 0) + 1
        })
        if (await answered(Promise.all(sent))) return
        links.delete(id)
        link.client.stream.destroy()
        link.client.end(true)
        await Promise.allSettled(sent.map(each => Promise.race([each, delay(1)])))
      },
    ],
    depart: [
      2,
      async () => {
        const id = pick(PUBLISHERS)
        if (!isLive(id) || !isCalm()) return
        const isDone = await answered(links.get(id)!.client.endAsync())
        const { will } = lines.get(id)!
        if (isDone) {
          model.forbid(will)
          departed.push({ will, node: links.get(id)!.node })
        }
        links.delete(id)
      },
    ],
    drop: [
      2,
      async () => {
        const id = pick(PUBLISHERS)
        if (!isLive(id)) return
        const { client } = links.get(id)!
        client.stream.destroy()
        client.end(true)
        links.delete(id)
      },
    ],
    suspend: [
      1,
      async () => {
        const id = pick(PUBLISHERS)
        await nodes.roll.writer.setDeviceState(id, 'suspended', tester)
        links.delete(id)
        const { client, isPresent } = await open(id, Math.floor(random() * 3), {}, ANSWER_MS)
        if ((await isPresent) !== null) wrong.push(`${id} is suspended and was admitted, ${where()}`)
        client.end(true)
        await nodes.roll.writer.setDeviceState(id, 'active', tester)
      },
    ],
    revoke: [
      1,
      async () => {
        const id = `v${number++}`
        identities.set(id, (await nodes.backend(id)) as Identified)
        const node = Math.floor(random() * 3)
        const { client, isPresent } = await open(id, node, {}, ANSWER_MS)
        const wasIn = (await isPresent) !== null
        await nodes.roll.writer.revokeCertificate(identities.get(id)!.fingerprint, 'keyCompromise', tester)
        const again = await Promise.all([0, 1, 2].map(at => open(id, at, {}, ANSWER_MS)))
        for (const one of again) {
          if ((await one.isPresent) !== null) wrong.push(`${id} is revoked and was admitted, ${where()}`)
          one.client.end(true)
        }
        const deadline = performance.now() + CONNECT_MS
        while (wasIn && client.connected && performance.now() < deadline) await delay(20)
        if (wasIn && client.connected) wrong.push(`${id} is revoked and still connected, ${where()}`)
        client.end(true)
      },
    ],
    ...system.faults(random, told),
  }
  const table = Object.entries(moves).flatMap(([name, [weight]]) => Array<string>(weight).fill(name))

  /** Nodes that have ended, and devices whose sessions are kept. */
  async function bringBack(): Promise<void> {
    await revive()
    for (const id of READERS) {
      if (!isLive(id)) model.disconnected(id)
      if (isLive(id) || model.sessions().get(id)?.isKept !== true) continue
      const deadline = performance.now() + SETTLE_MS
      while (!(await connectReader(id, Math.floor(random() * 3), true, CONNECT_MS))) {
        await revive()
        if (performance.now() > deadline) {
          wrong.push(`${id} is not let in again, ${where()}`)
          break
        }
      }
    }
  }

  /** All faults end, all come back, and what is owed is awaited. */
  async function settle(): Promise<void> {
    await system.startBus()
    await bringBack()
    const owed = () => [
      ...READERS.flatMap(id =>
        model.missing(id, seen.get(id) ?? []).map(payload => `${payload} never came to ${id}`),
      ),
      ...model.missingOfGroups(all).map(payload => `${payload} came to no member`),
    ]
    const deadline = performance.now() + SETTLE_MS
    while (owed().length > 0 && performance.now() < deadline) {
      await delay(20)
      await bringBack() // a node may end while it is awaited
    }
    wrong.push(...owed().map(what => `${what}, ${where()}`))
    for (const id of READERS) wrong.push(...model.wrong(id, seen.get(id) ?? []).map(what => `${id}: ${what}`))
    wrong.push(...(await compareRetained(model)).map(what => `${what}, ${where()}`))
    departed.length = 0
  }

  for (let step = 0; step < steps && wrong.length === 0; step += 1) {
    const name = pick(table)
    history.push(name)
    counts[name] = (counts[name] ?? 0) + 1
    await revive()
    await moves[name]![1]()
    if ((step + 1) % SETTLE_EVERY === 0 || step === steps - 1) await settle()
  }
  for (const { client } of links.values()) client.end(true)
  await system.stopBus()
  counts['ended by itself'] = system.revived()
  return { counts, wrong, logs }
}
