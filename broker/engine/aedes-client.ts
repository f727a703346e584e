// What the engine knows of aedes 1.2.0 beyond its published types. Whoever upgrades aedes begins here.
import type { Aedes, Client, PublishPacket } from 'aedes'
import type { QoS } from '../../policy/rights.ts'
import type { Session } from './sessions.ts'

declare module 'aedes' {
  interface Aedes {
    registerClient(client: Inside): void
    unregisterClient(client: Client): void
  }
}

export type Will = PublishPacket & { qos: QoS; retain: boolean }

type Mutable<T> = { -readonly [key in keyof T]: T[key] }

/** A client as aedes keeps it. `session` is ours. */
export type Inside = Mutable<Pick<Client, 'id' | 'clean' | 'version' | 'connected'>> &
  Client & {
    session?: Session
    will: Will | null
    _will: Will | null
    _authorized: boolean
    _keepaliveInterval: number
    _keepaliveTimer: NodeJS.Timeout | null
    connackSent: boolean
    subscriptions: Record<string, unknown>
  }

/**
 * aedes announces every client under `$SYS/<id>/` to other nodes on the same emitter. There are none, and the
 * announcements cost an eighth of a CONNECT.
 */
export function silenceClusterBus(aedes: Aedes): void {
  const bus = `$SYS/${aedes.id}/`
  const publish = aedes.publish
  aedes.publish = function (this: Aedes, packet: PublishPacket, ...rest: unknown[]) {
    if (packet.topic.startsWith(bus)) return (rest.at(-1) as () => void)()
    Reflect.apply(publish, this, [packet, ...rest])
  } as Aedes['publish']
}
