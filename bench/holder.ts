// A fleet that is connected and stays, in a process of its own, so that neither its descriptors nor its work are those of
// who measures. Tells when each link closed, by the clock that all processes of a machine share.
import { readFileSync } from 'node:fs'
import type { Member } from '../test/harness/fleet.ts'
import { openLink } from './link.ts'

/** What is read from the file that is named on the command line. */
export type Holding = { port: number; root: string; members: Pick<Member, 'id' | 'certificate' | 'key'>[] }
export type Told = { open: number } | { closed: [id: string, atMs: number][] }

const AT_ONCE = 50
const TELL_MS = 20

const { port, root, members } = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Holding
let closed: [string, number][] = []
let ending = false

const waiting = members.values()
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (const member of waiting) {
      const link = await openLink(port, root, { ...member, der: Buffer.alloc(0), fingerprint: '' })
      link.on('error', () => {})
      link.once('close', () => {
        if (!ending) closed.push([member.id, Number(process.hrtime.bigint()) / 1e6])
      })
      link.resume()
    }
  }),
)
process.send!({ open: members.length } satisfies Told)
setInterval(() => {
  if (closed.length === 0) return
  process.send!({ closed } satisfies Told)
  closed = []
}, TELL_MS)
process.on('disconnect', () => {
  ending = true
  process.exit(0)
})
