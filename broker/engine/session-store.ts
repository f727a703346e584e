// What outlives a connection, in memory: subscriptions, offline queues, retained messages. Every queue has an end,
// and only what a policy allows is kept. It does not outlive the process.
import { Readable } from 'node:stream'
import AsyncPersistence from 'aedes-persistence/asyncPersistence.js'
import type { Retained } from './leavings.ts'
import { createQueueLedger, type QueueBounds } from './queue-ledger.ts'

type Client = Parameters<AsyncPersistence['addSubscriptions']>[0]
type StoredSubscription = Parameters<AsyncPersistence['addSubscriptions']>[1][number]
type StoredPacket = Parameters<AsyncPersistence['storeRetained']>[0]
type QueuedPacket = Parameters<AsyncPersistence['outgoingUpdate']>[1]
type Subscriber = Parameters<AsyncPersistence['outgoingEnqueue']>[0]

export type SessionStoreParts = {
  bounds: QueueBounds
  /** Whether this subscription was granted, once a SUBSCRIBE has been judged. */
  isGranted(client: Client, topic: string): boolean
  /** Whether the connection of this client is being ended. */
  isEnding(client: Client): boolean
  /** Whether a retained message may be shown to anybody still. */
  mayShow(message: Retained): boolean
  /** Stored subscriptions are gone: these, or all of the device where null. */
  onForgotten(deviceId: string, topics: string[] | null): void
  onDropped(what: 'offline' | 'retained', deviceId: string): void
}

/** No message that was sent has this ID [MQTT-2.3.1-1]. */
const UNSENT = 0

/** aedes's memory persistence with bounds; the newest message is dropped where a queue is full. */
export class SessionStore extends AsyncPersistence {
  readonly #parts: SessionStoreParts
  readonly #storing = new WeakMap<StoredSubscription[], Promise<void>>()
  readonly #ledger: ReturnType<typeof createQueueLedger>
  /** The devices whose stored session may have a queue. */
  readonly #keeping = new Set<string>()
  /** The topics of each device's retained messages. */
  readonly #retainedBy = new Map<string, Set<string>>()

  constructor(parts: SessionStoreParts) {
    super()
    this.#parts = parts
    this.#ledger = createQueueLedger(parts.bounds)
  }

  // aedes hands over all filters of a SUBSCRIBE, again for each one that is allowed: stored once.
  override addSubscriptions(client: Client, subscriptions: StoredSubscription[]): Promise<void> {
    const known = this.#storing.get(subscriptions)
    if (known !== undefined) return known
    const storing = this.#storeGranted(client, subscriptions)
    this.#storing.set(subscriptions, storing)
    return storing
  }

  async #storeGranted(client: Client, subscriptions: StoredSubscription[]): Promise<void> {
    await null // until the last filter of the packet has been judged too
    const granted = subscriptions.filter(({ topic }) => this.#parts.isGranted(client, topic))
    this.#keeping.add(client.id)
    await super.addSubscriptions(client, granted)
  }

  override async storeRetained(packet: StoredPacket): Promise<void> {
    if (packet.payload.length === 0) {
      this.#ledger.unretain(packet.topic)
      this.#disown(packet)
    } else if (!this.#ledger.retain(packet)) {
      this.#parts.onDropped('retained', '')
      return
    } else {
      this.#own(packet)
    }
    await super.storeRetained(packet)
  }

  #own({ clientId, topic }: StoredPacket): void {
    if (clientId === undefined) return
    const topics = this.#retainedBy.get(clientId)
    if (topics === undefined) this.#retainedBy.set(clientId, new Set([topic]))
    else topics.add(topic)
  }

  #disown({ clientId = '', topic }: StoredPacket): void {
    const topics = this.#retainedBy.get(clientId)
    topics?.delete(topic)
    if (topics?.size === 0) this.#retainedBy.delete(clientId)
  }

  /** What is kept is shown only where its publisher may still publish it. */
  override createRetainedStreamCombi(patterns: string[]): Readable {
    const { mayShow } = this.#parts
    const all = super.createRetainedStreamCombi(patterns)
    return Readable.from(
      (async function* () {
        for await (const packet of all) if (mayShow(packet)) yield packet
      })(),
    )
  }

  /** Forgets the retained messages that this device left, but for those that another has replaced. */
  async forgetRetained(deviceId: string): Promise<void> {
    for (const topic of this.#retainedBy.get(deviceId) ?? []) {
      for await (const packet of this.createRetainedStream(topic)) {
        if (packet.topic === topic && packet.clientId === deviceId)
          await this.storeRetained({ ...packet, payload: Buffer.alloc(0) })
      }
    }
    this.#retainedBy.delete(deviceId)
  }

  /** Drops the stored subscriptions of a device that are not allowed any more; its queue is judged when it returns. */
  async keepOnly(deviceId: string, allowed: (filter: string) => boolean): Promise<void> {
    const stored = await this.subscriptionsByClient({ id: deviceId })
    const denied = stored.map(({ topic }) => topic).filter(topic => !allowed(topic))
    if (denied.length > 0) await this.removeSubscriptions({ id: deviceId }, denied)
  }

  override async outgoingEnqueue(subscriber: Subscriber, packet: StoredPacket): Promise<void> {
    await this.outgoingEnqueueCombi([subscriber], packet)
  }

  override async outgoingEnqueueCombi(subscribers: Subscriber[], packet: StoredPacket): Promise<void> {
    const taking = subscribers.filter(({ clientId }) => {
      // Found subscribed, and purged before the message reached the queue.
      if (!this.#keeping.has(clientId)) return false
      const fits = this.#ledger.queue(clientId, packet)
      if (!fits) this.#parts.onDropped('offline', clientId)
      return fits
    })
    await super.outgoingEnqueueCombi(taking, packet)
  }

  override async outgoingClearMessageId(client: Client, packet: QueuedPacket) {
    // aedes strikes out what it may not forward; to a session that is ending it may not now, and owes it all the same.
    if (this.#parts.isEnding(client)) return undefined
    // What was never sent has no ID, and aedes would strike out the first such message, whichever it is. It is given one and
    // struck out in the same turn: overlapping subscriptions strike out the same message several times at once.
    if (packet.messageId === undefined)
      this.outgoingUpdate(client, { ...packet, messageId: UNSENT }).catch(notQueued)
    const cleared = await super.outgoingClearMessageId(client, { messageId: packet.messageId ?? UNSENT })
    if (cleared !== undefined) this.#ledger.unqueue(client.id)
    return cleared
  }

  override async cleanSubscriptions(client: Client): Promise<void> {
    this.#keeping.delete(client.id)
    this.#parts.onForgotten(client.id, null)
    await super.cleanSubscriptions(client)
  }

  override async removeSubscriptions(client: Client, topics: string[]): Promise<void> {
    this.#parts.onForgotten(client.id, topics)
    await super.removeSubscriptions(client, topics)
  }

  /** Forgets all that is kept for a device: subscriptions, queue, unfinished QoS 2, will. */
  async purge(deviceId: string): Promise<void> {
    const client = { id: deviceId }
    await this.cleanSubscriptions(client)
    await this.cleanIncoming(client)
    await this.delWill(client)
    if (!this.#ledger.hasQueue(deviceId)) return
    for await (const packet of this.outgoingStream(client)) await this.outgoingClearMessageId(client, packet)
  }
}

/** The queue was full: there is nothing to strike out. */
function notQueued(): void {}
