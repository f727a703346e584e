// How aedes routes messages, put right: those of one publisher in the order in which it sent them, and none to nodes that there are
// not. Knows neither rights nor what is stored.
import type { Aedes, Client, PublishPacket } from 'aedes'

type Done = (error?: Error | null) => void
type Numbered = { brokerId?: string; brokerCounter?: number }
type Publish = (this: Aedes, packet: PublishPacket, client: Client | null, done: Done) => void
/** A message on its way to be routed, in the line of its publisher; `goOn` where it is ready before its turn. */
type InLine = { line: InLine[]; goOn: (() => void) | null }

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
  const lines = new WeakMap<Client, InLine[]>()
  const waiting = new Map<number, InLine>()
  const publish = aedes.publish as unknown as Publish
  const emit = aedes.mq.emit.bind(aedes.mq)

  aedes.publish = function (this: Aedes, packet: PublishPacket & Numbered, ...rest: unknown[]) {
    if (rest.length < 2) return Reflect.apply(publish, this, [packet, ...rest])
    const [client, done] = rest as [Client | null, Done]
    if (client === null) return publish.call(this, packet, null, done)
    let line = lines.get(client)
    const isFirst = line === undefined || line.length === 0
    if (isFirst && packet.qos === 0 && !packet.retain) return publish.call(this, packet, client, done)
    if (line === undefined) {
      line = []
      lines.set(client, line)
    }
    const one: InLine = { line, goOn: null }
    const counter = number(packet)
    line.push(one)
    waiting.set(counter, one)
    publish.call(this, packet, client, error => {
      if (error && waiting.delete(counter)) leave(one)
      done(error)
    })
  } as Aedes['publish']

  aedes.mq.emit = (packet, done) => {
    const one = waiting.get(packet.brokerCounter)
    if (one === undefined) return emit(packet, done)
    waiting.delete(packet.brokerCounter)
    if (one.line[0] === one) {
      one.line.shift()
      emit(packet, done)
      advance(one.line)
    } else one.goOn = () => emit(packet, done)
  }

  function number(packet: Numbered): number {
    packet.brokerId ??= aedes.id
    packet.brokerCounter ??= ++aedes.counter
    return packet.brokerCounter
  }

  function leave(one: InLine): void {
    one.line.splice(one.line.indexOf(one), 1)
    advance(one.line)
  }

  /** Routes whatever is ready and has nothing before it. */
  function advance(line: InLine[]): void {
    for (let first = line[0]; first?.goOn; first = line[0]) {
      line.shift()
      first.goOn()
    }
  }
}
