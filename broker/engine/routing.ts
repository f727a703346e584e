// How aedes routes messages, put right: those of one publisher in the order in which it sent them, and none to nodes that there are
// not. Knows neither rights nor what is stored.
import type { Aedes, Client, PublishPacket } from 'aedes'

type Done = (error?: Error | null) => void
type Numbered = { brokerId?: string; brokerCounter?: number }
/** Messages on their way to be routed, in the order they came; with how to go on, where one is ready before its turn. */
type Line = Map<number, (() => void) | null>

/** Before anything else wraps `publish`. */
export function mendRouting(aedes: Aedes): void {
  silenceClusterBus(aedes)
  keepOrder(aedes)
}

/**
 * aedes announces every client under `$SYS/<id>/` to other nodes on the same emitter. There are none, and the
 * announcements cost an eighth of a CONNECT.
 */
function silenceClusterBus(aedes: Aedes): void {
  const bus = `$SYS/${aedes.id}/`
  const publish = aedes.publish
  aedes.publish = function (this: Aedes, packet: PublishPacket, ...rest: unknown[]) {
    if (packet.topic.startsWith(bus)) return (rest.at(-1) as () => void)()
    Reflect.apply(publish, this, [packet, ...rest])
  } as Aedes['publish']
}

/**
 * What is retained or of QoS 1 and 2 is stored first, which takes a turn: what its publisher sent behind it would go before
 * it [MQTT-4.6.0-6].
 */
function keepOrder(aedes: Aedes): void {
  const lines = new Map<string, Line>()
  const publish = aedes.publish
  const emit = aedes.mq.emit.bind(aedes.mq)

  aedes.publish = function (this: Aedes, packet: PublishPacket & Numbered, ...rest: unknown[]) {
    const client = rest.length > 1 ? (rest[0] as Client | null) : null
    const isStored = packet.qos > 0 || packet.retain
    if (client === null || !(isStored || lines.has(client.id))) {
      return Reflect.apply(publish, this, [packet, ...rest])
    }
    const done = rest.at(-1) as Done
    const counter = number(packet)
    lineOf(client.id).set(counter, null)
    Reflect.apply(publish, this, [
      packet,
      client,
      (error?: Error | null) => {
        if (error) leave(client.id, counter)
        done(error)
      },
    ])
  } as Aedes['publish']

  aedes.mq.emit = (packet, done) => {
    const { clientId = '', brokerCounter } = packet
    const line = lines.get(clientId)
    const goOn = () => emit(packet, done)
    if (line === undefined || !line.has(brokerCounter)) return goOn()
    line.set(brokerCounter, goOn)
    advance(clientId, line)
  }

  function number(packet: Numbered): number {
    packet.brokerId ??= aedes.id
    packet.brokerCounter ??= ++aedes.counter
    return packet.brokerCounter
  }

  function lineOf(clientId: string): Line {
    const known = lines.get(clientId)
    if (known !== undefined) return known
    const line: Line = new Map()
    lines.set(clientId, line)
    return line
  }

  function leave(clientId: string, counter: number): void {
    const line = lines.get(clientId)
    if (line?.delete(counter)) advance(clientId, line)
  }

  /** Routes whatever is ready and has nothing before it. */
  function advance(clientId: string, line: Line): void {
    for (const [counter, goOn] of line) {
      if (goOn === null) return
      line.delete(counter)
      if (line.size === 0) lines.delete(clientId)
      goOn()
    }
  }
}
