// What became of a device held against what should have: who was wrongly let in, kept in or turned away, what proved
// nothing. Counts and names findings; refuses to do anything about them.
import { isPatient } from '../faults/wire.ts'
import { hex, isRefusal, nameOf, type Seen } from '../links/seen.ts'
import type { Session } from '../links/session.ts'
import type { Actor } from './actor.ts'
import { note, type World } from './world.ts'

/** A session stands. Wrong where there was no right any more when its attempt began; else its grace runs. */
export function judgeAdmission(actor: Actor, world: World, session: Session, begunAt: number): void {
  if (actor.expect !== 'refused') return
  if (isJudged(actor, begunAt)) wrongly(actor, world, 'admitted')
  else judgeAfterGrace(actor, world, session, world.schedule.now())
}

/** A session whose right ended at `endedAt` must be gone when the grace is over. */
export function judgeAfterGrace(actor: Actor, world: World, session: Session, endedAt: number): void {
  world.schedule.at(endedAt + world.graceMs, () => {
    if (actor.session !== session || actor.expect !== 'refused' || world.ending) return
    if (actor.trial) note(world.findings.kept, { action: actor.trial.action })
    wrongly(actor, world, 'kept')
  })
}

/** False for an attempt that was under way while an operator changed its right: either answer may be the true one. */
function isJudged(actor: Actor, begunAt: number): boolean {
  const { trial } = actor
  return trial === null || (trial.answeredAt !== null && begunAt > trial.answeredAt)
}

/** An attempt ended without a session. */
export function judgeRefusal(actor: Actor, world: World, seen: Seen, begunAt: number): void {
  const counts = countsOf(actor, world)
  const saw = nameOf(seen)
  if (seen.kind === 'cancelled') return
  if (seen.kind === 'connack' && seen.code >= 0x80) countReason(world, 'connack', seen.code)
  if (seen.kind === 'timeout' && isPatient(actor.group.plan.fault)) {
    wrongly(actor, world, 'kept')
    return
  }
  if (!isRefusal(seen) && !expectedOnWire(actor, seen)) {
    counts.connects.failed++
    counts.failures[saw] = (counts.failures[saw] ?? 0) + 1
    if (actor.expect === 'refused') counts.unproven++
    return
  }
  counts.connects.refused++
  countRefusal(actor, world, saw, actor.expect !== 'admitted' || !isJudged(actor, begunAt))
}

/** A device that never offers a handshake can only be closed on. */
function expectedOnWire(actor: Actor, seen: Seen): boolean {
  return actor.group.plan.fault === 'half-open' && seen.kind === 'closed_before_handshake'
}

/** A device was turned away, or its session was cut. */
export function countRefusal(actor: Actor, world: World, saw: string, expected: boolean): void {
  const counts = countsOf(actor, world)
  const refusal = counts.refusals[saw] ?? { expected: 0, unexpected: 0 }
  counts.refusals[saw] = refusal
  if (expected) refusal.expected++
  else {
    refusal.unexpected++
    counts.wronglyRefused++
    note(world.findings.refused, { device: actor.id, group: actor.group.plan.name, saw })
  }
}

export function wrongly(actor: Actor, world: World, how: 'admitted' | 'kept'): void {
  countsOf(actor, world).wronglyAdmitted++
  const { id: device, why } = actor
  note(world.findings.admitted, { device, group: actor.group.plan.name, how, why, at: world.schedule.now() })
}

type Packet = 'connack' | 'puback' | 'pubrec' | 'suback'

const reasonNames = new Map<string, string[]>()

/** A Reason Code of MQTT 5, by the packet that brought it. */
export function countReason({ counts }: World, packet: Packet, code: number): void {
  let names = reasonNames.get(packet)
  if (!names) {
    names = []
    reasonNames.set(packet, names)
  }
  names[code] ??= `${packet}_${hex(code)}`
  const name = names[code] as string
  counts.reasons[name] = (counts.reasons[name] ?? 0) + 1
}

export function countsOf(actor: Actor, world: World) {
  const counts = world.counts.groups[actor.group.index]
  if (!counts) throw new Error(`no counts for group ${actor.group.index}`)
  return counts
}
