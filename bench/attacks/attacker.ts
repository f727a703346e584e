// One attack, in a process of its own and of the lowest priority: what is measured is the broker, not a processor that is shared with the
// attacker's machine. Told over IPC what to do; tells how much it did when it is asked.
import { constants, setPriority } from 'node:os'
import type { Identity } from '../../test/harness/authority.ts'
import { attacks } from './kinds.ts'

export type Order = {
  attack: string
  port: number
  root: string
  id: string
  device: Identity
  stranger: Identity
}

setPriority(constants.priority.PRIORITY_LOW)
let done = 0
process.on('message', (order: Order | 'done') => {
  if (order === 'done') {
    process.send!(done)
    done = 0
    return
  }
  const { attack, port, root, id, device, stranger } = order
  const target = {
    broker: { port } as never,
    roll: { root: { certificate: root } } as never,
    id,
    device,
    stranger,
  }
  void attacks[attack]!(target, count => {
    done += count
  })
})
process.on('disconnect', () => process.exit(0))
