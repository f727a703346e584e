// The policy check that every publish pays for: 20 statements, and what binding them costs a session. No sockets.
import type { PolicyDocument, Statement } from '../../policy/document.ts'
import { bindRights } from '../../policy/rights.ts'

export type PolicyFigures = { publishNanos: number; subscribeNanos: number; bindMicros: number }

const STATEMENTS = 20
const CHECKS = 500_000

const values = new Map([
  ['device.id', 'sensor-1'],
  ['device.attr.site', 'north'],
])

/** Every shape of filter, a deny in each five, so that no check ends early by luck. */
function document(): PolicyDocument {
  const statements = Array.from(
    { length: STATEMENTS },
    (_, at): Statement => ({
      effect: at % 5 === 4 ? 'deny' : 'allow',
      actions: ['publish', 'subscribe'],
      topics: [`sites/+/zone-${at}/\${device.id}/#`, `devices/\${device.id}/part-${at}/+`],
    }),
  )
  return { name: 'bench', statements }
}

/** One round. Topics: allowed by the last rule that allows, allowed through a wildcard, denied, and matched by none. */
export function measurePolicy(): PolicyFigures {
  const policies = [document()]
  const rights = bindRights(policies, values)
  if (rights === null) throw new Error('the policy of the benchmark cannot be bound')
  const topics = [
    'devices/sensor-1/part-18/x',
    'sites/north/zone-18/sensor-1/a/b',
    'devices/sensor-1/part-19/x',
    'devices/sensor-1/none/x',
  ]
  const publishNanos = nanos(CHECKS, at => rights.publish(topics[at & 3]!, 1, false))
  const subscribeNanos = nanos(CHECKS / 10, at => rights.subscribe(topics[at & 3]!))
  const bindMicros = nanos(2_000, () => bindRights(policies, values) !== null) / 1_000
  return { publishNanos, subscribeNanos, bindMicros }
}

function nanos(times: number, work: (at: number) => boolean): number {
  let allowed = 0
  const begin = performance.now()
  for (let at = 0; at < times; at += 1) if (work(at)) allowed += 1
  const took = performance.now() - begin
  if (allowed === 0) throw new Error('nothing was allowed: the benchmark measures something else')
  return (took * 1e6) / times
}
