// Compares the result of each connection with the expected one: devices wrongly admitted, wrongly kept or wrongly refused, and
// results that prove nothing. Counts and names findings; changes nothing.

import { type ConnectResult, hex, isRefusal, resultName } from '../links/connect-result.ts'
import type { Session } from '../links/session.ts'
import type { Device } from './device-state.ts'
import { waitsForClose } from './faulty-connections.ts'
import { addFinding, type WorkerContext } from './worker-context.ts'

/** A session stands. Wrong where there was no right any more when its attempt began; else its grace runs. */
export function checkAdmission(
  device: Device,
  context: WorkerContext,
  session: Session,
  begunAt: number,
): void {
  if (device.expect !== 'refused') return
  if (isConclusive(device, begunAt)) recordWronglyAdmitted(device, context, 'admitted')
  else checkAfterGrace(device, context, session, context.schedule.now())
}

/** A session whose right ended at `endedAt` must be gone when the grace is over. */
export function checkAfterGrace(
  device: Device,
  context: WorkerContext,
  session: Session,
  endedAt: number,
): void {
  context.schedule.at(endedAt + context.graceMs, () => {
    if (device.session !== session || device.expect !== 'refused' || context.ending) return
    if (device.trial) addFinding(context.findings.kept, { action: device.trial.action })
    recordWronglyAdmitted(device, context, 'kept')
  })
}

/** False for an attempt that was under way while an operator changed its right: either answer may be the true one. */
function isConclusive(device: Device, begunAt: number): boolean {
  const { trial } = device
  return trial === null || (trial.answeredAt !== null && begunAt > trial.answeredAt)
}

/** An attempt ended without a session. */
export function checkRefusal(
  device: Device,
  context: WorkerContext,
  result: ConnectResult,
  begunAt: number,
): void {
  const counts = countsOf(device, context)
  const saw = resultName(result)
  if (result.kind === 'cancelled') return
  if (result.kind === 'connack' && result.code >= 0x80) countReason(context, 'connack', result.code)
  if (result.kind === 'timeout' && waitsForClose(device.group.plan.fault)) {
    recordWronglyAdmitted(device, context, 'kept')
    return
  }
  if (!isRefusal(result) && !expectedOnWire(device, result)) {
    counts.connects.failed++
    counts.failures[saw] = (counts.failures[saw] ?? 0) + 1
    if (device.expect === 'refused') counts.unproven++
    return
  }
  counts.connects.refused++
  countRefusal(device, context, saw, device.expect !== 'admitted' || !isConclusive(device, begunAt))
}

/** A device that never offers a handshake can only be closed on. */
function expectedOnWire(device: Device, result: ConnectResult): boolean {
  return device.group.plan.fault === 'half-open' && result.kind === 'closed_before_handshake'
}

/** A device was turned away, or its session was cut. */
export function countRefusal(device: Device, context: WorkerContext, saw: string, expected: boolean): void {
  const counts = countsOf(device, context)
  const refusal = counts.refusals[saw] ?? { expected: 0, unexpected: 0 }
  counts.refusals[saw] = refusal
  if (expected) refusal.expected++
  else {
    refusal.unexpected++
    counts.wronglyRefused++
    addFinding(context.findings.refused, { device: device.id, group: device.group.plan.name, saw })
  }
}

export function recordWronglyAdmitted(
  device: Device,
  context: WorkerContext,
  how: 'admitted' | 'kept',
): void {
  countsOf(device, context).wronglyAdmitted++
  const { id, why } = device
  addFinding(context.findings.admitted, {
    device: id,
    group: device.group.plan.name,
    how,
    why,
    at: context.schedule.now(),
  })
}

type Packet = 'connack' | 'puback' | 'pubrec' | 'suback'

const reasonNames = new Map<string, string[]>()

/** A Reason Code of MQTT 5, by the packet that brought it. */
export function countReason({ counts }: WorkerContext, packet: Packet, code: number): void {
  let names = reasonNames.get(packet)
  if (!names) {
    names = []
    reasonNames.set(packet, names)
  }
  names[code] ??= `${packet}_${hex(code)}`
  const name = names[code] as string
  counts.reasons[name] = (counts.reasons[name] ?? 0) + 1
}

export function countsOf(device: Device, context: WorkerContext) {
  const counts = context.counts.groups[device.group.index]
  if (!counts) throw new Error(`no counts for group ${device.group.index}`)
  return counts
}
