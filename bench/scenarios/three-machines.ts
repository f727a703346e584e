// Three machines as an operator runs them, each with broker and provisioning service of its own, over one PostgreSQL that syncs and a
// nats-server: how long a revocation takes to close a session at any of them, and how long the devices of a machine that is killed are
// without a broker. Run by hand: node bench/scenarios/three-machines.ts [--sessions 1000] [--revocations 200]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { until } from '../../test/cli/running.ts'
import { type Device, enroll, knock } from '../../test/e2e/devices.ts'
import { startNamed } from '../../test/e2e/machines.ts'
import { type System, scratch } from '../../test/e2e/system.ts'
import { startNats } from '../../test/harness/nats.ts'
import { startPostgres } from '../../test/harness/postgres.ts'
import { cpuOfOne } from '../cpu.ts'
import type { FleetCall, FleetOrder, FleetReport } from '../fleet-process.ts'
import { countPackets, openClient, pubackFor, publishPacket, subscribePacket } from '../mqtt-client.ts'
import { quantile } from './storm.ts'

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '1000' },
    revocations: { type: 'string', default: '200' },
  },
})
/** Of each machine, once those that are revoked are gone. */
const SESSIONS = Number(values.sessions)
const REVOCATIONS = Number(values.revocations)
const NAMES = ['one', 'two', 'three'] as const
const CALLERS = 8
const ADDRESSES = 100
const [PUBLISH, PUBACK, SUBACK] = [3, 4, 9]
const DEADLINE_MS = 60_000
/** A will that was sent twice would have come by then. */
const AFTER_MS = 6_000

type Fleet = {
  devices: Device[]
  /** When each was last told, by the clock that all processes share. */
  closed: Map<string, number>
  back: Map<string, number>
  lost: Map<string, number>
  news: Map<string, number>
  comeBackTo(ports: number[]): void
  end(): Promise<void>
}
type Receipt = { nodesTotal: number; nodesAcknowledged: number; unreachable: string[]; sessionsCut: number }

const nowMs = () => Number(process.hrtime.bigint()) / 1e6
const world = scratch()
const postgres = await startPostgres({ durable: true })
const nats = await startNats()
const fleets: Fleet[] = []
let machines: System[] = []

try {
  machines = await startNamed(world, postgres, { flags: ['--bus', nats.url] }, NAMES)
  const share = Math.ceil(REVOCATIONS / NAMES.length)
  const devices: Device[][] = []
  for (const [at, { api }] of machines.entries())
    devices.push(
      await enrolled(
        api,
        Array.from({ length: SESSIONS + share }, (_, n) => `${NAMES[at]}-${n}`),
      ),
    )
  // Changes are one sequence: where the last device is known, all are.
  const backend = await enroll(machines[0]!.api, world.path, 'backend', { groups: ['backend'] })
  for (const { mqttsPort } of machines)
    await until(async () => (await knock(mqttsPort, 'backend', backend)) === 'connack 0', 'all are known')
  for (const [at, { mqttsPort }] of machines.entries()) {
    const file = world.at(`fleet-${at}.json`)
    const members = devices[at]!.map(({ id, certificate, key }) => ({ id, certificate, key }))
    const order: FleetOrder = { port: mqttsPort, root: backend.ca, members, addresses: ADDRESSES, kept: true }
    writeFileSync(file, JSON.stringify(order))
    fleets.push(await hold(file, devices[at]!))
  }
  console.log(`${machines.length} machines with ${SESSIONS + share} sessions each; load ${load()}`)
  await revocations()
  await killed(backend)
} finally {
  for (const fleet of fleets) await fleet.end()
  await Promise.allSettled(machines.map(machine => machine.killAll()))
  await nats[Symbol.asyncDispose]()
  await postgres.close()
  rmSync(world.path, { recursive: true, force: true })
}

async function enrolled(api: System['api'], ids: string[]): Promise<Device[]> {
  const devices: Device[] = []
  const waiting = ids.values()
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      for (const id of waiting) devices.push(await enroll(api, world.path, id))
    }),
  )
  return devices
}

async function hold(file: string, devices: Device[]): Promise<Fleet> {
  const child = fork(fileURLToPath(import.meta.resolve('../fleet-process.ts')), [file])
  const gone = once(child, 'exit')
  const [first] = (await Promise.race([
    once(child, 'message'),
    gone.then(() => Promise.reject(new Error('the fleet died'))),
  ])) as [FleetReport]
  if (!('open' in first) || first.failed > 0) throw new Error(`not admitted: ${JSON.stringify(first)}`)
  const told = { closed: new Map(), back: new Map(), lost: new Map(), news: new Map() }
  child.on('message', (report: FleetReport) => {
    if ('open' in report) return
    for (const kind of ['closed', 'back', 'lost', 'news'] as const)
      for (const [id, at] of report[kind]) told[kind].set(id, at)
  })
  return {
    devices,
    ...told,
    comeBackTo: ports => void child.send({ comeBackTo: ports } satisfies FleetCall),
    async end() {
      if (child.connected) child.disconnect()
      await gone
    },
  }
}

/** One after the other, of a device at each machine by turns, asked of each service by turns. */
async function revocations(): Promise<void> {
  const [toClose, toReceipt]: [number[], number[]] = [[], []]
  let complete = 0
  for (let n = 0; n < REVOCATIONS; n += 1) {
    const fleet = fleets[n % NAMES.length]!
    const { id, fingerprint } = fleet.devices[Math.floor(n / NAMES.length)]!
    const { api } = machines[Math.floor(n / NAMES.length) % NAMES.length]!
    const began = nowMs()
    const { status, body } = await api.call('POST', `/v1/certificates/${fingerprint}/revoke`, {})
    toReceipt.push(nowMs() - began)
    if (status !== 200) throw new Error(`revoking ${id}: ${JSON.stringify(body)}`)
    const receipt: Receipt = body.receipt ?? body
    if (
      receipt.nodesTotal === NAMES.length &&
      receipt.nodesAcknowledged === NAMES.length &&
      receipt.sessionsCut === 1
    )
      complete += 1
    else console.log(`incomplete: ${JSON.stringify(receipt)}`)
    await until(() => fleet.closed.has(id), `${id} is closed`)
    toClose.push(fleet.closed.get(id)! - began)
  }
  console.log(`revoke → socket closed, ${REVOCATIONS} in turn: ${spread(toClose)}; load ${load()}`)
  console.log(`revoke → receipt: ${spread(toReceipt)}; ${complete} of ${REVOCATIONS} complete`)
}

/** Machine three; a message goes to each of its devices while they are away. */
async function killed(backend: Device): Promise<void> {
  const fleet = fleets[2]!
  const ids = fleet.devices.map(({ id }) => id).filter(id => !fleet.closed.has(id))
  const ports = machines.slice(0, 2).map(({ mqttsPort }) => mqttsPort)
  const link = await openClient(ports[1]!, backend.ca, backend)
  link.on('error', () => {})
  const wills = new Map<string, number>()
  let [acknowledged, isSubscribed] = [0, false]
  let lastWillAt = 0
  countPackets(link, SUBACK, () => {
    isSubscribed = true
  })
  countPackets(link, PUBACK, () => {
    acknowledged += 1
  })
  countPackets(link, PUBLISH, packet => {
    link.write(pubackFor(packet))
    const id = /devices\/(.*)\/will/.exec(String(packet))?.[1] ?? ''
    wills.set(id, (wills.get(id) ?? 0) + 1)
    lastWillAt = nowMs()
  })
  link.write(subscribePacket('devices/+/will', 1))
  await until(() => isSubscribed, 'the watcher is subscribed')
  fleet.comeBackTo(ports)
  await pause(500)

  const cpu = () => machines.slice(0, 2).reduce((sum, each) => sum + cpuOfOne(each.childPid('broker')), 0)
  const cpuBefore = cpu()
  const began = nowMs()
  await machines[2]!.killAll()
  for (const [n, id] of ids.entries())
    link.write(publishPacket(`devices/${id}/news`, Buffer.from('news'), 1, n + 1))
  await until(() => acknowledged === ids.length, 'all news are acknowledged', DEADLINE_MS)
  const acknowledgedMs = nowMs() - began
  const served = () => ids.filter(id => fleet.back.has(id) && fleet.news.has(id)).length
  await until(() => served() + fleet.lost.size >= ids.length, 'all are served', DEADLINE_MS).catch(() => {})
  await until(() => wills.size >= ids.length, 'all wills are sent', DEADLINE_MS).catch(() => {})
  const cpuMs = (cpu() - cpuBefore) / 1000
  await pause(AFTER_MS)

  const after = (times: Map<string, number>) => spread([...times.values()].map(at => at - began))
  const twice = [...wills].filter(([, times]) => times > 1).length
  console.log(
    `machine killed with ${ids.length} kept sessions: ${served()} served by others, ${fleet.lost.size} sessions lost; load ${load()}\n` +
      `kill → CONNACK with the session at another machine: ${after(fleet.back)}\n` +
      `kill → message of the meantime at the device: ${after(fleet.news)}, all acknowledged to their publisher after ${(acknowledgedMs / 1000).toFixed(1)} s\n` +
      `wills: ${wills.size} of ${ids.length}, ${twice} more than once, the last after ${((lastWillAt - began) / 1000).toFixed(1)} s\n` +
      `CPU of both other brokers until then, handshakes and messages included: ${(cpuMs / ids.length).toFixed(1)} ms a session`,
  )
  link.destroy()
}

function spread(took: readonly number[]): string {
  const sorted = took.toSorted((a, b) => a - b)
  return [0.5, 0.99, 1].map(part => `p${part * 100} ${quantile(sorted, part).toFixed(0)} ms`).join(', ')
}

function load(): string {
  return loadavg()[0]!.toFixed(1)
}
