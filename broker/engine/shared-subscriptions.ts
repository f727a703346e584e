// Groups that share a subscription (`$share/GROUP/FILTER`, MQTT 5 §4.8.2, as brokers offer it to 3.1.1 clients too): each
// message goes to one member, in turn. To aedes such a filter is one that nothing matches; who gets what is decided here.
import type { Aedes, AedesPublishPacket } from 'aedes'
import { parseSubscription } from '../../policy/subscription.ts'
import type { BrokerSettings } from '../config.ts'
import type { Inside } from './aedes-client.ts'
import { hasGot } from './one-copy.ts'
import { createUnacknowledged, type Owed } from './unacknowledged.ts'

type QoS = 0 | 1 | 2
type Deliver = (packet: AedesPublishPacket, done: () => void) => void

/** One session in a group; `client` is null while it is away and its stored session waits. */
type Member = { deviceId: string; qos: QoS; client: Inside | null }
/**
 * What a connection can do with a message now: take it; take it though it reads slowly; have it wait in its stored session;
 * or nothing, for it may not or is going.
 */
type MemberState = 'ready' | 'slow' | 'waiting' | 'out'
/** The members in the order of their turns. */
type Group = { asked: string; filter: string; members: Map<string, Member>; deliver: Deliver }

export type SharedSubscriptions = {
  /** A granted subscription of a session, null where its device is away; the same again changes its QoS. */
  join(client: Inside | null, deviceId: string, asked: string, qos: QoS): void
  /** A connection has left a group; one that another has followed leaves nothing. */
  part(client: Inside, deviceId: string, asked: string): void
  /** A connection has ended: its stored session stays in its groups. */
  away(client: Inside, deviceId: string): void
  /** A stored session has lost a subscription, or all of them where null. */
  forget(deviceId: string, asked: string | null): void
  acknowledged(client: Inside, messageId: number): void
  /** The broker stops: from now on messages go to stored sessions alone. */
  close(): void
}

export function createSharedSubscriptions(parts: {
  aedes: Pick<Aedes, 'counter' | 'subscribe' | 'unsubscribe'>
  /** With more unsent bytes than `outboundBytesMax`, others come first. */
  settings: BrokerSettings
  /** Puts a message into the queue of a stored session, in this turn. */
  queue(deviceId: string, packet: AedesPublishPacket): Promise<void>
  /** A message that this device has not acknowledged is lost with its session. */
  dropped(what: 'shared', deviceId: string): void
}): SharedSubscriptions {
  const { outboundBytesMax } = parts.settings
  const groups = new Map<string, Group>()
  const joined = new Map<string, Set<string>>()
  const unacknowledged = createUnacknowledged({
    bounds: parts.settings,
    onForgotten: client => parts.dropped('shared', client.id),
  })
  let closing = false

  /** Gives whether anybody takes it; `done` is called if so. */
  function deliver(group: Group, packet: AedesPublishPacket, done: () => void): boolean {
    const isIn = (state: MemberState) => (member: Member) => stateOf(member, packet.topic) === state
    const live = takeTurn(group, isIn('ready')) ?? takeTurn(group, isIn('slow'))
    if (live !== null) {
      send(group, live, packet, done)
      return true
    }
    const waiting = packet.qos === 0 ? null : takeTurn(group, isIn('waiting'))
    if (waiting !== null) queue(waiting, packet, done)
    return waiting !== null
  }

  function stateOf({ client, qos }: Member, topic: string): MemberState {
    const session = client?.session
    const keeps = qos > 0 && client?.clean !== true
    if (closing || !client?.connackSent || client.closed || session === undefined || session.ended !== null)
      return keeps ? 'waiting' : 'out'
    if (!session.rights.receive(topic)) return 'out'
    return client.conn.writableLength > outboundBytesMax ? 'slow' : 'ready'
  }

  function send(group: Group, member: Member, packet: AedesPublishPacket, done: () => void): void {
    const client = member.client!
    const own = addressed(packet, member)
    if (own.qos === 1 && client.clean && !hasGot(client, packet.brokerCounter))
      unacknowledged.note(client, group.asked, own, packet.qos as 1 | 2)
    // Queued first and in the same turn, as aedes does: what is not acknowledged is sent again when it is back.
    if (own.qos > 0 && !client.clean) queue(member, packet, () => {})
    client.deliverShared(own, done)
  }

  function queue(member: Member, packet: AedesPublishPacket, done: () => void): void {
    parts.queue(member.deviceId, addressed(packet, member)).then(done, done)
  }

  /** What a session that has ended did not acknowledge goes to others, in its order (MQTT 5 §4.8.2). */
  function handOn(client: Inside, deviceId: string): void {
    const left = unacknowledged.take(client)
    const goOn = (from: number) => {
      for (let at = from, bytes = 0; at < left.length; at += 1) {
        bytes += left[at]!.bytes
        // At once no more than makes its receiver slow; a receiver that is kept waiting is soon left alone.
        const isMuch = bytes > outboundBytesMax
        const taken = handOver(left[at]!, isMuch ? () => goOn(at + 1) : () => {})
        if (!taken) parts.dropped('shared', deviceId)
        if (taken && isMuch) return
      }
    }
    goOn(0)
  }

  function handOver({ asked, packet, qos }: Owed, done: () => void): boolean {
    const group = groups.get(asked)
    if (group === undefined) return false
    parts.aedes.counter += 1
    // New to whoever gets it, and numbered so; without a broker's name it is not held against numbers that came before.
    const { brokerId: _, messageId: __, ...message } = packet
    const again = { ...message, qos, dup: false, brokerCounter: parts.aedes.counter }
    return deliver(group, again as AedesPublishPacket, done)
  }

  function enter(asked: string): Group | null {
    const filter = parseSubscription(asked)?.text
    if (filter === undefined) return null
    const group: Group = {
      asked,
      filter,
      members: new Map(),
      deliver(packet, done) {
        // No wildcard reaches into `$…` [MQTT-4.7.2-1].
        const isOut = packet.topic.startsWith('$') && /^[+#]/.test(filter)
        if (isOut || !deliver(group, packet, done)) done()
      },
    }
    groups.set(asked, group)
    parts.aedes.subscribe(filter, group.deliver, () => {})
    return group
  }

  function leave(deviceId: string, asked: string): void {
    const group = groups.get(asked)
    group?.members.delete(deviceId)
    if (group?.members.size === 0) {
      groups.delete(asked)
      parts.aedes.unsubscribe(group.filter, group.deliver, () => {})
    }
    const own = joined.get(deviceId)
    own?.delete(asked)
    if (own?.size === 0) joined.delete(deviceId)
  }

  return {
    join(client, deviceId, asked, qos) {
      const group = groups.get(asked) ?? enter(asked)
      if (group === null) return
      const member = group.members.get(deviceId)
      if (member === undefined) group.members.set(deviceId, { deviceId, qos, client })
      else Object.assign(member, { qos, client })
      const own = joined.get(deviceId)
      if (own === undefined) joined.set(deviceId, new Set([asked]))
      else own.add(asked)
    },
    part(client, deviceId, asked) {
      if (groups.get(asked)?.members.get(deviceId)?.client === client) leave(deviceId, asked)
      // Who only unsubscribes goes on with what it was sent [MQTT-3.10.4-3].
      if (client.closed) handOn(client, deviceId)
    },
    away(client, deviceId) {
      for (const asked of [...(joined.get(deviceId) ?? [])]) {
        const member = groups.get(asked)?.members.get(deviceId)
        if (member?.client !== client) continue
        if (client.clean) leave(deviceId, asked)
        else member.client = null
      }
      handOn(client, deviceId)
    },
    forget(deviceId, asked) {
      for (const own of asked === null ? [...(joined.get(deviceId) ?? [])] : [asked]) leave(deviceId, own)
    },
    acknowledged: unacknowledged.acknowledge,
    close() {
      closing = true
    },
  }
}

/** Whoever fits and waited longest; it goes to the end of the line. */
function takeTurn({ members }: Group, fits: (member: Member) => boolean): Member | null {
  for (const [deviceId, member] of members) {
    if (!fits(member)) continue
    members.delete(deviceId)
    members.set(deviceId, member)
    return member
  }
  return null
}

/** The message as this member gets it: its QoS at most, and as new: never as a retained one (MQTT 5 §4.8.2). */
function addressed(packet: AedesPublishPacket, { qos }: Member): AedesPublishPacket {
  return { ...packet, qos: Math.min(packet.qos, qos) as QoS, retain: false }
}
