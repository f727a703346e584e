// What the engine uses of two modules that bring no types of their own for it.
declare module 'aedes-persistence/asyncPersistence.js' {
  import type { Readable } from 'node:stream'

  type ClientId = { id: string }
  type StoredPacket = {
    topic: string
    payload: Buffer
    qos: 0 | 1 | 2
    messageId?: number
    clientId?: string
  }
  type StoredSubscription = { topic: string; qos: 0 | 1 | 2 }
  type QueuedPacket = { messageId?: number; brokerId?: string; brokerCounter?: number }
  type Subscriber = { clientId: string; topic: string; qos: 0 | 1 | 2 }

  export default class AsyncPersistence {
    setup(broker: { id: string; counter: number }): Promise<void>
    storeRetained(packet: StoredPacket): Promise<void>
    createRetainedStream(pattern: string): Readable & AsyncIterable<StoredPacket>
    createRetainedStreamCombi(patterns: string[]): Readable & AsyncIterable<StoredPacket>
    addSubscriptions(client: ClientId, subscriptions: StoredSubscription[]): Promise<void>
    removeSubscriptions(client: ClientId, topics: string[]): Promise<void>
    subscriptionsByClient(client: ClientId): Promise<StoredSubscription[]>
    subscriptionsByTopic(topic: string): Promise<Subscriber[]>
    countOffline(): Promise<{ subsCount: number; clientsCount: number }>
    getClientList(topic: string): Readable
    cleanSubscriptions(client: ClientId): Promise<void>
    outgoingEnqueue(subscriber: Subscriber, packet: StoredPacket): Promise<void>
    outgoingEnqueueCombi(subscribers: Subscriber[], packet: StoredPacket): Promise<void>
    outgoingClearMessageId(
      client: ClientId,
      packet: { messageId?: number },
    ): Promise<StoredPacket | undefined>
    /** aedes closes the connection where it rejects. */
    outgoingUpdate(client: ClientId, packet: QueuedPacket): Promise<void>
    outgoingStream(client: ClientId): Readable & AsyncIterable<StoredPacket>
    incomingStorePacket(client: ClientId, packet: StoredPacket): Promise<void>
    /** Rejects where it is not there. */
    incomingGetPacket(client: ClientId, packet: { messageId?: number }): Promise<StoredPacket>
    incomingDelPacket(client: ClientId, packet: { messageId?: number }): Promise<void>
    cleanIncoming(client: ClientId): Promise<void>
    putWill(client: ClientId, packet: unknown): Promise<unknown>
    delWill(client: ClientId): Promise<unknown>
  }
}

declare module 'aedes-persistence/abstract.js' {
  export default function abstractPersistence(options: {
    test: unknown
    testAsync: true
    persistence: () => unknown
  }): void
}
