// Rights that end, with thousands of sessions live: revoke → closed, a policy for everybody, an issuer disabled while others
// connect. Run by hand: node bench/scenarios/rights.ts [sessions]. Broker and fleet are processes of their own.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { awaitReceipt } from '../../db/change-feed.ts'
import { enrollFleet, type Member } from '../../test/harness/fleet.ts'
import { createRoll, type Roll, tester } from '../../test/harness/roll.ts'
import { residentKib } from '../cpu.ts'
import type { BenchDevice, BenchFleet } from '../fleet.ts'
import type { FleetOrder, FleetReport } from '../fleet-process.ts'
import { closeClient, openClient } from '../mqtt-client.ts'
import { type BenchServer, startServer } from '../servers.ts'

const sessions = Number(process.argv[2] ?? 10_000)
const REVOCATIONS = 500
const OTHERS = 40
const CONNECTING_AT_ONCE = 2

/** When each member's link closed, in ms of the machine's clock. */
type Held = {
  child: ChildProcess
  closedAt: Map<string, number>
  until(closed: () => boolean): Promise<void>
}

const nowMs = () => Number(process.hrtime.bigint()) / 1e6
const roll = await createRoll()
let server: BenchServer | undefined
let held: Held | undefined
try {
  const members = await enrollFleet(roll, sessions)
  const others = await enrollOthers(roll)
  server = await startServer('rollcall', asFleet(roll, others.devices))
  held = await hold(roll, server.port, members)
  say('sessions live', sessions, `broker ${Math.round(residentKib(server.pid) / 1024)} MiB resident`)
  const connecting = probe(server.port, others.devices)
  await pause(3_000)
  spread('connect under another issuer, quiet', connecting.took())

  const revoked = members.slice(0, REVOCATIONS)
  spread('revoke → socket closed', await revokeEach(roll, held, revoked))
  connecting.took()
  await changePolicies(roll)
  spread('connect while policies for all change', connecting.took())
  spread('revoke → closed while policies for all change', await revokeWhileChanging(roll, held, members))
  connecting.took()
  await disableIssuer(roll, held, members)
  spread('connect under another issuer meanwhile', connecting.took())
  await connecting.stop()
} finally {
  held?.child.disconnect()
  await server?.stop()
  await roll.close()
}

async function revokeEach({ writer }: Roll, fleet: Held, members: readonly Member[]): Promise<number[]> {
  const took: number[] = []
  for (const { id, fingerprint } of members) {
    await writer.revokeCertificate(fingerprint, 'keyCompromise', tester)
    const answered = nowMs()
    await fleet.until(() => fleet.closedAt.has(id))
    took.push(Math.max(0, fleet.closedAt.get(id)! - answered))
  }
  return took
}

/** From the answered change until the broker says that all sessions follow it. */
async function changePolicies(to: Roll): Promise<void> {
  const took: number[] = []
  for (let round = 0; round < 10; round += 1) took.push(await changePolicy(to, round))
  spread('policy for all → every session follows', took)
}

async function changePolicy({ writer, registry }: Roll, round: number): Promise<number> {
  const statement = { effect: 'allow', actions: ['publish'], topics: [`round/${round}/#`] }
  if (round === 0) {
    await writer.putPolicy('bench', { name: 'bench', statements: [statement] }, tester)
    await writer.attachPolicy('bench', 'everyone', '', tester)
  }
  const document = { name: 'bench', statements: [statement, { ...statement, topics: [`x/${Date.now()}`] }] }
  const epoch = await writer.putPolicy('bench', document, tester)
  const begin = nowMs()
  const receipt = await awaitReceipt(registry, epoch, 10_000)
  if (receipt.unreachable.length > 0) throw new Error('the broker did not follow within 10 s')
  return nowMs() - begin
}

async function revokeWhileChanging(to: Roll, fleet: Held, members: readonly Member[]): Promise<number[]> {
  let changing = true
  const changes = (async () => {
    for (let round = 100; changing; round += 1) await changePolicy(to, round)
  })()
  const took = await revokeEach(to, fleet, members.slice(REVOCATIONS, REVOCATIONS + 100))
  changing = false
  await changes
  return took
}

async function disableIssuer({ writer, issuerId }: Roll, fleet: Held, members: readonly Member[]) {
  const before = fleet.closedAt.size
  await writer.setIssuerEnabled(issuerId, false, tester)
  const begin = nowMs()
  await fleet.until(() => fleet.closedAt.size === members.length)
  const seconds = (Math.max(...fleet.closedAt.values()) - begin) / 1_000
  say('issuer disabled → all closed', `${seconds.toFixed(2)} s`, `${members.length - before} sessions`)
}

/** Devices under another issuer that connect and leave again without a pause; `took` gives what was seen since it was asked last. */
function probe(port: number, devices: readonly BenchDevice[]) {
  let stopped = false
  let took: number[] = []
  const runs = Array.from({ length: CONNECTING_AT_ONCE }, async (_, lane) => {
    for (let at = lane; !stopped; at += CONNECTING_AT_ONCE) {
      const begin = nowMs()
      const link = await openClient(port, roll.root.certificate, devices[at % devices.length]!)
      took.push(nowMs() - begin)
      await closeClient(link)
      await pause(5)
    }
  })
  return {
    took() {
      const seen = took
      took = []
      return seen
    },
    async stop() {
      stopped = true
      await Promise.all(runs)
    },
  }
}

async function hold(to: Roll, port: number, members: readonly Member[]): Promise<Held> {
  const file = join(to.data, 'holding.json')
  const kept = members.map(({ id, certificate, key }) => ({ id, certificate, key }))
  writeFileSync(file, JSON.stringify({ port, root: to.root.certificate, members: kept } satisfies FleetOrder))
  const child = fork(fileURLToPath(import.meta.resolve('../fleet-process.ts')), [file])
  const closedAt = new Map<string, number>()
  const [first] = (await once(child, 'message')) as [FleetReport]
  if (!('open' in first) || first.failed > 0) throw new Error('somebody was not admitted')
  child.on('message', (told: FleetReport) => {
    if ('closed' in told) for (const [id, at] of told.closed) closedAt.set(id, at)
  })
  return {
    child,
    closedAt,
    async until(closed) {
      const end = nowMs() + 60_000
      while (!closed()) {
        if (nowMs() > end) throw new Error(`after 60 s ${closedAt.size} links have closed`)
        await pause(2)
      }
    },
  }
}

async function enrollOthers({ root, rootId, writer, list }: Roll): Promise<{ devices: BenchDevice[] }> {
  const other = await root.subordinate('Other Issuing CA')
  const issuer = { der: other.der, name: 'other', kind: 'issuing', parentId: rootId } as const
  const issuerId = await writer.addIssuer(issuer, tester)
  const devices: BenchDevice[] = []
  for (let index = 0; index < OTHERS; index += 1) {
    const id = `other-${index}`
    const identity = await other.issue({ name: id })
    devices.push({ id, ...identity, fingerprint: await list(id, identity, { issuerId }) })
  }
  return { devices }
}

function asFleet(of: Roll, devices: BenchDevice[]): BenchFleet {
  return {
    roll: of,
    data: of.data,
    root: of.root.certificate,
    anchors: '',
    devices,
    backends: [],
    close: of.close,
  }
}

function spread(what: string, took: number[]): void {
  const sorted = [...took].sort((a, b) => a - b)
  const at = (quantile: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? Number.NaN).toFixed(1)
  say(what, `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`, `${sorted.length} seen`)
}

function say(what: string, ...figures: (string | number)[]): void {
  process.stdout.write(`${what}: ${figures.join(', ')}\n`)
}
