// What outlives a connection, in memory: subscriptions, offline queues, retained messages. Every queue has an end,
// and only what a policy allows is kept. It does not outlive the process.
import AsyncPersistence from 'aedes-persistence/asyncPersistence.js'
import { createQueueLedger, type QueueBounds } from './queue-ledger.ts'

type Client = Parameters<AsyncPersistence['addSubscriptions']>[0]
type StoredSubscription = Parameters<AsyncPersistence['addSubscriptions']>[1][number]
type StoredPacket = Parameters<AsyncPersistence['storeRetained']>[0]
type Subscriber = Parameters<AsyncPersistence['outgoingEnqueue']>[0]

export type SessionStoreParts = {
  bounds: QueueBounds
  /** Whether this subscription was granted, once a SUBSCRIBE has been judged. */
  isGranted(client: Client, topic: string): boolean
  onDropped(what: 'offline' | 'retained', deviceId: string): void
}

/** aedes's memory persistence with bounds; the newest message is dropped where a queue is full. */
export class SessionStore extends AsyncPersistence {
  readonly #parts: SessionStoreParts
  readonly #storing = new WeakMap<StoredSubscription[], Promise<void>>()
  readonly #ledger: ReturnType<typeof createQueueLedger>

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
    await super.addSubscriptions(client, granted)
  }

  override async storeRetained(packet: StoredPacket): Promise<void> {
    if (packet.payload.length === 0) {
      this.#ledger.unretain(packet.topic)
    } else if (!this.#ledger.retain(packet)) {
      this.#parts.onDropped('retained', '')
      return
    }
    await super.storeRetained(packet)
  }

  override async outgoingEnqueue(subscriber: Subscriber, packet: StoredPacket): Promise<void> {
    await this.outgoingEnqueueCombi([subscriber], packet)
  }

  override async outgoingEnqueueCombi(subscribers: Subscriber[], packet: StoredPacket): Promise<void> {
    const taking = subscribers.filter(({ clientId }) => {
      const fits = this.#ledger.queue(clientId, packet)
      if (!fits) this.#parts.onDropped('offline', clientId)
      return fits
    })
    await super.outgoingEnqueueCombi(taking, packet)
  }

  override async outgoingClearMessageId(client: Client, packet: { messageId?: number }) {
    const cleared = await super.outgoingClearMessageId(client, packet)
    if (cleared !== undefined) this.#ledger.unqueue(client.id)
    return cleared
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
