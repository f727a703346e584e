// A fleet that is connected and stays, in a process of its own, so that neither its descriptors nor its work are those of
// the measuring process. Tells when each link closed, by the clock that all processes of a machine share.
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import type { Member as FleetMember } from '../test/harness/fleet.ts'
import { contextOf, countPackets, openClient, pubackFor, subscribePacket } from './mqtt-client.ts'

type Member = Pick<FleetMember, 'id' | 'certificate' | 'key'>

/** What is read from the file that is named on the command line. */
export type FleetOrder = {
  port: number
  root: string
  members: Member[]
  /** How many connect at once; 50 unless given. */
  atOnce?: number
  /** How many loopback addresses they come from; one unless given. */
  addresses?: number
  /** Sessions are kept, each with a subscription to `devices/ID/news` at QoS 1 and a will of QoS 1 at `devices/ID/will`. */
  kept?: boolean
}
/** From then on, a link that closes comes back to these ports, by turns until it is let in. */
export type FleetCall = { comeBackTo: number[] }
type Times = [id: string, atMs: number][]
/**
 * `tookMs`: from the start of all until each had its CONNACK. `failed` were not let in, whatever kept them out. `back` came back and had
 * their session there, `lost` had none; `news` got a message.
 */
export type FleetReport =
  | { open: number; failed: number; tookMs: number[] }
  | { closed: Times; back: Times; lost: Times; news: Times }

const TELL_MS = 20
/** How long a device waits before it comes back, at random up to so much. */
const WAIT_MS = 500
const [PUBLISH, SUBACK] = [3, 9]

const {
  port,
  root,
  members,
  atOnce = 50,
  addresses = 1,
  kept = false,
} = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as FleetOrder
let seen: { closed: Times; back: Times; lost: Times; news: Times } = {
  closed: [],
  back: [],
  lost: [],
  news: [],
}
let comeBackTo: number[] = []
let ending = false

const nowMs = () => Number(process.hrtime.bigint()) / 1e6

for (const member of members) contextOf(root, member)
const tookMs: number[] = []
const begin = performance.now()
const waiting = members.entries()
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    for (const [index, member] of waiting) {
      const link = await open(port, index, member).catch(() => null)
      if (link === null) continue
      if (kept) await subscribe(link, `devices/${member.id}/news`)
      tookMs.push(performance.now() - begin)
    }
  }),
)
process.send!({ open: tookMs.length, failed: members.length - tookMs.length, tookMs } satisfies FleetReport)
setInterval(() => {
  if (Object.values(seen).every(times => times.length === 0)) return
  process.send!(seen satisfies FleetReport)
  seen = { closed: [], back: [], lost: [], news: [] }
}, TELL_MS)
process.on('message', (call: FleetCall) => {
  comeBackTo = call.comeBackTo
})
process.on('disconnect', () => {
  ending = true
  process.exit(0)
})

async function open(at: number, index: number, member: Member, comesBack = false): Promise<TLSSocket> {
  const { id } = member
  const link = await openClient(at, root, member, {
    localAddress: `127.0.0.${1 + (index % addresses)}`,
    ...(kept ? { clean: false, will: { topic: `devices/${id}/will`, payload: id, qos: 1 } } : {}),
    onConnack(packet, rest, socket) {
      if (comesBack) seen[packet[2] === 1 ? 'back' : 'lost'].push([id, nowMs()])
      if (!kept) return
      const onNews = (publish: Buffer) => {
        seen.news.push([id, nowMs()])
        socket.write(pubackFor(publish))
      }
      countPackets(socket, PUBLISH, onNews, rest)
    },
  })
  link.on('error', () => {})
  link.once('close', () => {
    if (ending) return
    seen.closed.push([id, nowMs()])
    if (comeBackTo.length > 0) void comeBack(index, member)
  })
  link.resume()
  return link
}

async function subscribe(link: TLSSocket, filter: string): Promise<void> {
  const done = new Promise<void>(resolve => countPackets(link, SUBACK, () => resolve()))
  link.write(subscribePacket(filter, 1))
  await done
}

async function comeBack(index: number, member: Member): Promise<void> {
  for (let attempt = index; ; attempt += 1) {
    await pause(Math.random() * WAIT_MS)
    const at = comeBackTo[attempt % comeBackTo.length]!
    if ((await open(at, index, member, true).catch(() => null)) !== null) return
  }
}
