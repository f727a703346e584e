// What bounds a publish, a will and a filter besides rights: what CONNACK announced, and the levels of a topic. Pure.

import type { QoS } from '../message.ts'
import { codes, type ReasonCode } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'

/** Reason Code of a publish or will beyond Maximum QoS or Retain Available (§3.2.2.3.4, §3.2.2.3.5); null where it is not. */
export function codeBeyond(
  { qosMax, retains }: Client['announced'],
  qos: QoS,
  retain: boolean,
): ReasonCode | null {
  if (qos > qosMax) return codes.qosNotSupported
  return retain && !retains ? codes.retainNotSupported : null
}

/** How many levels a topic or filter has. */
export function levelsOf(topic: string): number {
  let levels = 1
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) levels += 1
  return levels
}
