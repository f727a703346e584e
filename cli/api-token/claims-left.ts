// Claims that a revoked operator made: devices may be built with them, so they stay, and are named.
import type { Client } from '../../client/index.ts'
import { printable } from '../errors.ts'

const NAMED_MAX = 5

/** Says on stderr which claims of this operator still enroll devices. */
export async function printClaimsLeft(client: Client, operator: string): Promise<void> {
  const open: string[] = []
  for await (const page of client.claims.pages())
    for (const { id, createdBy, status } of page)
      if (createdBy === operator && status === 'open') open.push(id)
  if (open.length === 0) return
  const more = open.length > NAMED_MAX ? ` and ${open.length - NAMED_MAX} more` : ''
  const claims = open.length === 1 ? 'a claim' : `${open.length} claims`
  process.stderr.write(
    `warning: ${claims} that ${printable(operator)} made still enroll devices: ${open.slice(0, NAMED_MAX).join(', ')}${more}\n` +
      'hint: rollcall claim revoke ID, unless devices are built with it\n',
  )
}
