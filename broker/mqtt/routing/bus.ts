// The bus that carries messages from publishers to the router of each node: aedes, by its published API alone, as the
// only file that imports it. QoS and RETAIN hold between a client and its broker (MQTT 5 §4.3), so the bus carries neither.
import type { EventEmitter } from 'node:events'
import { Aedes, type AedesPublishPacket } from 'aedes'
import { createNatsEmitter, type NatsEmitterOptions } from '../../bus/emitter.ts'
import type { Message } from '../message.ts'

/** The port between sessions and routing. What is behind it may be this process alone or several nodes. */
export type Bus = {
  /** Gives the message to every node, to this one before it returns. Throws what its receiver throws. */
  publish(message: Message): void
  close(): Promise<void>
}

/** What there is beside this node: where the bus is, and what is not of this process. */
export type OtherNodes<Envelope> = Pick<NatsEmitterOptions, 'connection' | 'prefix' | 'onLost'> & {
  /** Of a message of QoS 0, after it was received here. Null for one that stays here, or goes another way. */
  encode(message: Message): Uint8Array | null
  /** Null where these bytes are no message. */
  decode(bytes: Uint8Array): Envelope | null
  /** A message came from another node. */
  arrived(envelope: Envelope): void
  /** Gives what asks other nodes for messages, and sends some. */
  use(emitter: {
    follow(filter: string): void
    unfollow(filter: string): void
    send(topic: string, bytes: Uint8Array): void
  }): void
}

/** `receive` gets every message, in the order in which it was published. */
export async function createBus<Envelope>(parts: {
  brokerId: string
  receive(message: Message): void
  onFailed(error: unknown): void
  others: OtherNodes<Envelope> | null
}): Promise<Bus> {
  const { others } = parts
  /** What is on its way within this node, by number. */
  const travelling = new Map<number, Message>()
  const emitter = others === null ? null : emitterTo(others, counter => travelling.get(counter))
  // Without a limit of messages at once: nobody that they are delivered to calls back late.
  const aedes = new Aedes({
    id: parts.brokerId,
    concurrency: 0,
    ...(emitter !== null && { mq: emitter }),
  })
  let failure: unknown = null
  ;(aedes as EventEmitter).on('error', parts.onFailed)
  await aedes.listen()

  function deliver(packet: AedesPublishPacket, done: () => void): void {
    const { brokerCounter, brokerId } = packet
    if (ARRIVED in packet) {
      others?.arrived(packet[ARRIVED] as Envelope)
      done()
      return
    }
    const message = brokerId === parts.brokerId ? travelling.get(brokerCounter) : undefined
    // What aedes says to other nodes below `$SYS` is no message of anybody.
    try {
      if (message !== undefined) parts.receive(message)
    } catch (error) {
      failure = error // not thrown through aedes, which is in the middle of something
    }
    done()
  }
  await new Promise<void>(resolve => aedes.subscribe('#', deliver, resolve))

  return {
    publish(message) {
      const { sequence, topic, payload } = message
      travelling.set(sequence, message)
      const packet = {
        cmd: 'publish' as const,
        brokerId: parts.brokerId,
        brokerCounter: sequence,
        topic,
        payload,
        qos: 0 as const,
        retain: false,
        dup: false,
      }
      failure = null
      aedes.publish(packet, error => {
        failure ??= error ?? null
      })
      travelling.delete(sequence)
      if (failure !== null) throw failure
    },
    close: () => new Promise(resolve => aedes.close(() => resolve())),
  }
}

/** What came from another node, on what aedes hands on as it is. */
const ARRIVED = Symbol('arrived')
/** Of what goes to other nodes: its bytes. */
const SENT = Symbol('sent')

function emitterTo<Envelope>(
  others: OtherNodes<Envelope>,
  travelling: (counter: number) => Message | undefined,
) {
  type Sent = { topic: string; [SENT]?: Uint8Array }
  const emitter = createNatsEmitter({
    connection: others.connection,
    prefix: others.prefix,
    followsListeners: false, // aedes listens to all, and sessions ask for some
    ...(others.onLost !== undefined && { onLost: others.onLost }),
    // What aedes says below `$SYS` is of this node alone.
    isLocal(packet) {
      const message = travelling(Number(packet['brokerCounter']))
      const bytes = message === undefined ? null : others.encode(message)
      if (bytes !== null) (packet as Sent)[SENT] = bytes
      return bytes === null
    },
    codec: {
      encode: packet => (packet as Sent)[SENT]!,
      decode(bytes) {
        const envelope = others.decode(bytes)
        return envelope === null ? null : { topic: ANY_TOPIC, [ARRIVED]: envelope }
      },
    },
  })
  others.use({
    follow: emitter.follow,
    unfollow: emitter.unfollow,
    send: (topic, bytes) => emitter.send({ topic, [SENT]: bytes } as Sent),
  })
  return emitter
}

/** Of what comes from others: aedes is asked for all, and the router matches the message's own. */
const ANY_TOPIC = 'arrived'
