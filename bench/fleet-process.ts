// A fleet that is connected and stays, in a process of its own, so that neither its descriptors nor its work are those of
// the measuring process. Tells when each link closed, by the clock that all processes of a machine share.
import { readFileSync } from 'node:fs'
import type { Member } from '../test/harness/fleet.ts'
import { contextOf, openClient } from './mqtt-client.ts'

/** What is read from the file that is named on the command line. */
export type FleetOrder = {
  port: number
  root: string
  members: Pick<Member, 'id' | 'certificate' | 'key'>[]
  /** How many connect at once; 50 unless given. */
  atOnce?: number
  /** How many loopback addresses they come from; one unless given. */
  addresses?: number
}
/** `tookMs`: from the start of all until each had its CONNACK. `failed` were not let in, whatever kept them out. */
export type FleetReport =
  | { open: number; failed: number; tookMs: number[] }
  | { closed: [id: string, atMs: number][] }

const TELL_MS = 20

const {
  port,
  root,
  members,
  atOnce = 50,
  addresses = 1,
} = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as FleetOrder
let closed: [string, number][] = []
let ending = false

for (const member of members) contextOf(root, member)
const tookMs: number[] = []
const begin = performance.now()
const waiting = members.entries()
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    for (const [index, member] of waiting) {
      const from = { localAddress: `127.0.0.${1 + (index % addresses)}` }
      const link = await openClient(port, root, member, from).catch(() => null)
      if (link === null) continue
      tookMs.push(performance.now() - begin)
      link.on('error', () => {})
      link.once('close', () => {
        if (!ending) closed.push([member.id, Number(process.hrtime.bigint()) / 1e6])
      })
      link.resume()
    }
  }),
)
process.send!({ open: tookMs.length, failed: members.length - tookMs.length, tookMs } satisfies FleetReport)
setInterval(() => {
  if (closed.length === 0) return
  process.send!({ closed } satisfies FleetReport)
  closed = []
}, TELL_MS)
process.on('disconnect', () => {
  ending = true
  process.exit(0)
})
