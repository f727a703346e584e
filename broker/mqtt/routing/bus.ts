// The bus that carries messages from publishers to the router of each node: aedes, by its published API alone, as the
// only file that imports it. QoS and RETAIN hold between a client and its broker (MQTT 5 §4.3), so the bus carries neither.
import type { EventEmitter } from 'node:events'
import { Aedes, type AedesPublishPacket } from 'aedes'
import type { Message } from '../message.ts'

/** The port between sessions and routing. What is behind it may be this process alone or several nodes. */
export type Bus = {
  /** Gives the message to every node, to this one before it returns. Throws what its receiver throws. */
  publish(message: Message): void
  close(): Promise<void>
}

/** `receive` gets every message, in the order in which it was published. */
export async function createBus(parts: {
  brokerId: string
  receive(message: Message): void
  onFailed(error: unknown): void
}): Promise<Bus> {
  // Without a limit of messages at once: nobody that they are delivered to calls back late.
  const aedes = new Aedes({ id: parts.brokerId, concurrency: 0 })
  /** What is on its way within this node, by number. */
  const travelling = new Map<number, Message>()
  let failure: unknown = null
  ;(aedes as EventEmitter).on('error', parts.onFailed)
  await aedes.listen()

  function deliver({ brokerCounter, brokerId }: AedesPublishPacket, done: () => void): void {
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
