// What outlives a connection, in memory: subscriptions, offline queues, retained messages. Every queue has an end,
// and only what a policy allows is kept. It does not outlive the process.
import AsyncPersistence from 'aedes-persistence/asyncPersistence.js'

type Client = Parameters<AsyncPersistence['addSubscriptions']>[0]
type StoredSubscription = Parameters<AsyncPersistence['addSubscriptions']>[1][number]
type StoredPacket = Parameters<AsyncPersistence['storeRetained']>[0]
type Subscriber = Parameters<AsyncPersistence['outgoingEnqueue']>[0]

export type SessionStoreParts = {
  offlineMessagesMax: number
  retainedMessagesMax: number
  /** Whether this subscription was granted, once a SUBSCRIBE has been judged. */
  isGranted(client: Client, topic: string): boolean
  onDropped(what: 'offline' | 'retained', deviceId: string): void
}

/** aedes's memory persistence with bounds; the newest message is dropped where a queue is full. */
export class SessionStore extends AsyncPersistence {
  readonly #parts: SessionStoreParts
  readonly #storing = new WeakMap<StoredSubscription[], Promise<void>>()
  readonly #queued = new Map<string, number>()
  readonly #retained = new Set<string>()

  constructor(parts: SessionStoreParts) {
    super()
    this.#parts = parts
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
      this.#retained.delete(packet.topic)
    } else if (!this.#retained.has(packet.topic)) {
      if (this.#retained.size >= this.#parts.retainedMessagesMax) {
        this.#parts.onDropped('retained', '')
        return
      }
      this.#retained.add(packet.topic)
    }
    await super.storeRetained(packet)
  }

  override async outgoingEnqueue(subscriber: Subscriber, packet: StoredPacket): Promise<void> {
    await this.outgoingEnqueueCombi([subscriber], packet)
  }

  override async outgoingEnqueueCombi(subscribers: Subscriber[], packet: StoredPacket): Promise<void> {
    const taking = subscribers.filter(({ clientId }) => {
      const queued = this.#queued.get(clientId) ?? 0
      if (queued >= this.#parts.offlineMessagesMax) {
        this.#parts.onDropped('offline', clientId)
        return false
      }
      this.#queued.set(clientId, queued + 1)
      return true
    })
    await super.outgoingEnqueueCombi(taking, packet)
  }

  override async outgoingClearMessageId(client: Client, packet: { messageId?: number }) {
    const cleared = await super.outgoingClearMessageId(client, packet)
    if (cleared !== undefined) {
      const queued = (this.#queued.get(client.id) ?? 1) - 1
      if (queued > 0) this.#queued.set(client.id, queued)
      else this.#queued.delete(client.id)
    }
    return cleared
  }

  /** Forgets all that is kept for a device: subscriptions, queue, unfinished QoS 2, will. */
  async purge(deviceId: string): Promise<void> {
    const client = { id: deviceId }
    await this.cleanSubscriptions(client)
    await this.cleanIncoming(client)
    await this.delWill(client)
    if (!this.#queued.has(deviceId)) return
    for await (const packet of this.outgoingStream(client)) await this.outgoingClearMessageId(client, packet)
  }
}
