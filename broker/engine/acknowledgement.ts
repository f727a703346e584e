// Acknowledges what is kept, and nothing else: PUBACK and PUBREC wait until their message is on disk for every device that is
// to get it later. aedes sends PUBACK before it looks for receivers, so a message of QoS 1 is sent on its way before that.
import type { Aedes, Client, PublishPacket } from 'aedes'
import type { Inside } from './aedes-client.ts'
import { timeRouting } from './routing-sample.ts'
import type { SessionStore } from './session-store.ts'

type Done = (error?: Error | null) => void
type Numbered = PublishPacket & { brokerId?: string; brokerCounter?: number }
/** A message of QoS 1 that is on its way before its PUBACK. */
type Flight = { landed: boolean; error: Error | null; done: Done | null }
type Publish = (packet: PublishPacket, client: Client | null, done: Done) => void

export type Acknowledgement = {
  /** Sends a message of QoS 1 on its way; `done` is called once PUBACK may be sent. */
  publishFirst(client: Inside, packet: PublishPacket, done: Done): void
  /** A message has been sent on its way; `done` is called once PUBREC may be sent. */
  published(packet: PublishPacket, client: Client | null, done: Done): void
}

export function createAcknowledgement(
  aedes: Aedes,
  store: Pick<SessionStore, 'expect' | 'groupOf' | 'arrivalOf' | 'arriving' | 'forgetArrival'>,
  routed: (tookMs: number) => void,
): Acknowledgement {
  const flights = new WeakMap<object, Flight>()
  /** What each client is owed last: acknowledgements keep the order of their messages [MQTT-4.6.0-2]. */
  const tails = new WeakMap<object, Promise<void>>()
  /** Messages of this turn: by its end they are written for whoever is away. */
  let waiting: (() => void)[] = []

  const publish = timeRouting((aedes.publish as unknown as Publish).bind(aedes), routed)
  aedes.publish = function (this: Aedes, packet: PublishPacket, ...rest: unknown[]) {
    const done = rest.at(-1) as Done
    const client = rest.length > 1 ? (rest[0] as Client | null) : null
    const flight = flights.get(packet)
    if (flight !== undefined) return land(flight, done)
    if (client === null || packet.qos !== 2) return publish(packet, client, done)
    const counter = expect(packet)
    publish(packet, client, error => {
      if (error) {
        store.groupOf(counter)
        store.forgetArrival(client, packet)
      }
      done(error)
    })
  } as Aedes['publish']

  /** Numbered as aedes would: the store knows the message by its counter. */
  function expect(packet: Numbered): number {
    aedes.counter += 1
    Object.assign(packet, { brokerId: aedes.id, brokerCounter: aedes.counter })
    store.expect(aedes.counter)
    return aedes.counter
  }

  /** aedes comes for a message that is on its way already, to wait for its end. */
  function land(flight: Flight, done: Done): void {
    if (flight.landed) done(flight.error)
    else flight.done = done
  }

  function atEndOfTurn(work: () => void): void {
    waiting.push(work)
    if (waiting.length > 1) return
    setImmediate(() => {
      const works = waiting
      waiting = []
      for (const each of works) each()
    })
  }

  function acknowledge(client: object, group: Promise<void> | null, done: Done): void {
    const tail = group ?? tails.get(client)
    if (tail === undefined) {
      done(null)
      return
    }
    tails.set(client, tail)
    tail.then(
      () => {
        if (tails.get(client) === tail) tails.delete(client)
        done(null)
      },
      error => done(error),
    )
  }

  return {
    publishFirst(client, packet, done) {
      const flight: Flight = { landed: false, error: null, done: null }
      flights.set(packet, flight)
      const counter = expect(packet)
      publish(packet, client, error => {
        flight.landed = true
        flight.error = error ?? null
        flight.done?.(error)
      })
      atEndOfTurn(() => {
        const group = store.groupOf(counter)
        if (flight.error !== null) done(flight.error)
        else acknowledge(client, group, done)
      })
    },

    published(packet: Numbered, client, done) {
      if (client === null || packet.qos !== 2) return done(null)
      const group = store.groupOf(packet.brokerCounter ?? 0)
      acknowledge(client, group ?? store.arrivalOf(packet), error => {
        done(error)
        store.arriving.end(client, packet.messageId ?? 0)
      })
    },
  }
}
