// Devices that answer what they receive: a topic and a payload that may quote the message that is answered.
// Does not know why it was sent.
import type { Incoming } from '../links/session.ts'
import type { GroupPlan } from '../scenario/plan.ts'
import { type Device, fill } from './device-state.ts'
import { givenBy } from './message-properties.ts'
import { mayPublish, send } from './telemetry.ts'
import { jsonTemplate } from './template.ts'
import type { WorkerContext } from './worker-context.ts'

const QUOTED_BYTES_MAX = 65_536

const bodies = new WeakMap<GroupPlan, ReturnType<typeof jsonTemplate>>()

/** Answers a message that was received at `receivedAt`. The message is read at once: its bytes are not kept. */
export function answer(device: Device, context: WorkerContext, message: Incoming, receivedAt: number): void {
  const how = device.group.plan.answer
  if (!how) return
  const topic = quoted(fill(device, how.topic), message)
  let body = '{}'
  if (how.payload !== undefined) {
    let generate = bodies.get(device.group.plan)
    if (!generate) {
      generate = jsonTemplate(how.payload)
      bodies.set(device.group.plan, generate)
    }
    const { id, n, random } = device
    body = quoted(generate({ device: id, n, sequence: 0, clock: receivedAt, random }), message)
  }
  context.schedule.at(receivedAt + how.afterMs, dueAt => {
    if (context.ending || !mayPublish(device)) return
    context.counts.answered++
    const given = device.group.plan.protocol === 5 ? givenBy(null, 'lean', text => text) : null
    const numbered = how.numbered
    const { qos } = how
    send(device, context, { topic, body, bytes: undefined, qos, retain: false, numbered, given }, dueAt)
  })
}

/** `${topic.N}`: a level of its topic, from 0; `${json.KEY}`: a member of its JSON. Empty where there is none. */
function quoted(template: string, { topic, payload }: Incoming): string {
  if (!template.includes('${')) return template
  const levels = topic.split('/')
  return template
    .replaceAll(/\$\{topic\.(\d{1,2})\}/g, (_whole, level: string) => levels[Number(level)] ?? '')
    .replaceAll(/\$\{json\.(\w{1,40})\}/g, (_whole, key: string) => member(payload, key))
}

function member(payload: Buffer, key: string): string {
  if (payload.length > QUOTED_BYTES_MAX) return ''
  try {
    const read = JSON.parse(payload.toString()) as Record<string, unknown> | null
    const value = read !== null && Object.hasOwn(read, key) ? read[key] : ''
    // Within quotes of JSON.
    return JSON.stringify(String(value)).slice(1, -1)
  } catch {
    return ''
  }
}
