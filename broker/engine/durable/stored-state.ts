// What outlives a connection beside queues: subscriptions and retained messages, in memory to be found and on disk to stay.
// Only what a policy allows is kept.
import { Readable } from 'node:stream'
import AsyncPersistence from 'aedes-persistence/asyncPersistence.js'
import type { SessionFile } from '../../../db/sessions/session-file.ts'
import { prepareSessionRecords, type SessionRecords } from '../../../db/sessions/session-records.ts'
import type { Inside } from '../aedes-client.ts'
import type { Retained } from '../leavings.ts'
import { createQueueLedger, type QueueBounds } from '../queue-ledger.ts'
import type { RetainedBounds } from '../retained-ledger.ts'
import type { Holder } from '../rights-desk.ts'
import { createGroupCommit, type GroupCommit } from './group-commit.ts'
import { createRetainedStore, type RetainedStore } from './retained-store.ts'
import { createSubscriptionIndex } from './subscription-index.ts'

export type Client = { id: string } & Partial<Pick<Inside, 'clean' | 'closed' | 'catchingUp'>>
export type StoredPacket = Parameters<AsyncPersistence['storeRetained']>[0] & { brokerCounter?: number }
type Retrieved = ReturnType<AsyncPersistence['createRetainedStream']>
type Subscriber = Awaited<ReturnType<AsyncPersistence['subscriptionsByTopic']>>[number]
type StoredSubscription = Parameters<AsyncPersistence['addSubscriptions']>[1][number]

export type SessionStoreParts = {
  file: SessionFile
  bounds: QueueBounds & {
    offlineAgeMaxMs: number
    inflightInboundMax: number
    retainedMessagesMax: number
    retainedBytesMax: number
  }
  /** What this device may retain, in all that it published last. */
  retainedBoundsOf(deviceId: string): RetainedBounds
  now(): number
  /** Whether this subscription was granted, once a SUBSCRIBE has been judged. */
  isGranted(client: Client, topic: string): boolean
  /** Whether the connection of this client is being ended. */
  isEnding(client: Client): boolean
  /** This client has acknowledged what it was sent with this identifier. */
  onAcknowledged(client: Client, messageId: number): void
  /** Whether it was just now decided that this message may not be forwarded. */
  isDenied(packet: object): boolean
  /** On whose right a will stands; null where nobody is known. */
  whose(client: Client): { holder: Holder; fingerprint: string } | null
  /** Whether a retained message may be shown to anybody still. */
  mayShow(message: Retained): boolean
  /** Stored subscriptions are gone: these, or all of the device where null. */
  onForgotten(deviceId: string, topics: string[] | null): void
  onDropped(what: 'offline' | 'aged' | 'retained', deviceId: string): void
  /** This client was about to be told what is not on disk. */
  onUnkept(client: Client): void
  /** Writes are lost: nothing of them was acknowledged. */
  onLost(error: unknown): void
  /** Writes are on disk. */
  onKept(tookMs: number): void
}

/** In place of subscriptions, where a session has none. */
export const NO_SUBSCRIPTION: StoredSubscription = { topic: '$none', qos: 0 }

export class StoredState extends AsyncPersistence {
  protected readonly parts: SessionStoreParts
  protected readonly commit: GroupCommit
  protected readonly records: SessionRecords
  protected readonly ledger: ReturnType<typeof createQueueLedger>
  /** The stored sessions: whoever has one may have a queue. */
  protected readonly sessions = new Map<string, number>()
  protected readonly devices = new Map<number, string>()
  /** Sessions that are not on disk yet, each with the group it is in. */
  readonly #beginning = new Map<string, Promise<void>>()
  readonly #shared: { deviceId: string; topic: string; qos: 0 | 1 | 2 }[] = []
  readonly retained: RetainedStore
  protected readonly subscriptions = createSubscriptionIndex()
  readonly #storing = new WeakMap<StoredSubscription[], Promise<void>>()
  /** Messages that somebody wants to acknowledge, with the group that they are in, if any. */
  readonly #awaited = new Map<number, Promise<void> | null>()

  constructor(parts: SessionStoreParts) {
    super()
    const { sqlite, sync } = parts.file
    this.parts = parts
    this.ledger = createQueueLedger(parts.bounds)
    this.commit = createGroupCommit({ sqlite, sync, onLost: parts.onLost, onKept: parts.onKept })
    this.records = prepareSessionRecords(sqlite)
    const { records, commit } = this
    const { retainedMessagesMax: messages, retainedBytesMax: bytes } = parts.bounds
    const all = { messages, bytes }
    this.retained = createRetainedStore({ records, commit, all, boundsOf: parts.retainedBoundsOf })
  }

  protected async load(): Promise<void> {
    for (const { id, device } of this.records.sessions()) this.#know(device, id)
    for (const { device, ...subscription } of this.records.subscriptions()) {
      this.subscriptions.add(device, [subscription])
      if (subscription.topic.startsWith('$share')) this.#shared.push({ deviceId: device, ...subscription })
    }
    this.retained.load()
  }

  #know(device: string, session: number): void {
    this.sessions.set(device, session)
    this.devices.set(session, device)
  }

  #unknow(device: string): void {
    this.devices.delete(this.sessions.get(device) ?? -1)
    this.sessions.delete(device)
    this.#beginning.delete(device)
  }

  /** Whether a session of this device is on disk: it is there even where it is empty (MQTT 3.1.1 §3.1.2.4). */
  hasSession(device: string): boolean {
    return this.sessions.has(device) && !this.#beginning.has(device)
  }

  /** Resolves once a session that is about to be on disk is there, or lost; at once where there is none such. */
  async beginning(device: string): Promise<void> {
    await this.#beginning.get(device)?.catch(() => {})
  }

  /** Begins a session. Resolves once it is on disk, rejects where it is lost. */
  async beginSession(device: string): Promise<void> {
    this.commit.write(() => this.addSession(device))
    await this.#beginning.get(device)
  }

  /** A connection that was ended brings no session back that another has ended for good. */
  protected assertLasts({ id, closed }: Client): void {
    if (closed === true && !this.sessions.has(id)) throw new Error('its session has ended')
  }

  /** Called within a write: whatever is stored of a session is stored together with it. */
  protected addSession(device: string): number {
    const known = this.sessions.get(device)
    if (known !== undefined) return known
    const session = this.records.addSession(device)
    this.#know(device, session)
    const group = this.commit.kept()
    const over = () => {
      if (this.#beginning.get(device) === group) this.#beginning.delete(device)
    }
    this.#beginning.set(device, group)
    group.then(over, over)
    this.commit.undo(() => this.#unknow(device))
    return session
  }

  /** Shared subscriptions that the last life left. */
  sharedSubscriptions() {
    return this.#shared.splice(0)
  }

  /** Somebody will ask what became of the message with this counter. */
  expect(counter: number): void {
    this.#awaited.set(counter, null)
  }

  /** The group that the message was written with; null where nothing of it was. */
  groupOf(counter: number): Promise<void> | null {
    const group = this.#awaited.get(counter) ?? null
    this.#awaited.delete(counter)
    return group
  }

  /** The message with this counter was written, just now. */
  protected wrote(counter: number | undefined): void {
    if (counter !== undefined && this.#awaited.has(counter)) this.#awaited.set(counter, this.commit.kept())
  }

  // aedes hands over all filters of a SUBSCRIBE, again for each one that is allowed: stored once.
  override addSubscriptions(client: Client, subscriptions: StoredSubscription[]): Promise<void> {
    const known = this.#storing.get(subscriptions)
    if (known !== undefined) return known
    const storing = this.#storeGranted(client, subscriptions)
    this.#storing.set(subscriptions, storing)
    return storing
  }

  /** Resolves once it is on disk: SUBACK waits for it. */
  async #storeGranted(client: Client, subscriptions: StoredSubscription[]): Promise<void> {
    await null // until the last filter of the packet has been judged too
    this.assertLasts(client)
    const granted = subscriptions.filter(({ topic }) => this.parts.isGranted(client, topic))
    const before = new Set(this.subscriptions.of(client.id).map(({ topic }) => topic))
    this.commit.write(() => {
      const session = this.addSession(client.id)
      for (const { topic, qos } of granted) this.records.subscribe(session, topic, qos)
    })
    const kept = this.commit.kept()
    this.commit.undo(() => {
      const added = granted.map(({ topic }) => topic).filter(topic => !before.has(topic))
      this.subscriptions.remove(client.id, added)
    })
    this.subscriptions.add(client.id, granted)
    await kept
  }

  override async removeSubscriptions(client: Client, topics: string[]): Promise<void> {
    this.parts.onForgotten(client.id, topics)
    const session = this.sessions.get(client.id)
    if (session !== undefined)
      this.commit.owe(() => {
        for (const topic of topics) this.records.unsubscribe(session, topic)
      })
    this.subscriptions.remove(client.id, topics)
  }

  override async cleanSubscriptions(client: Client): Promise<void> {
    const session = this.sessions.get(client.id)
    this.#unknow(client.id)
    this.parts.onForgotten(client.id, null)
    if (session !== undefined) this.commit.owe(() => this.records.removeSession(session))
    this.subscriptions.clear(client.id)
  }

  /**
   * aedes says that a session is present where it restores subscriptions, and in no other way: one that has none is given one
   * that nobody grants.
   */
  override async subscriptionsByClient(client: Client): Promise<StoredSubscription[]> {
    const stored = this.subscriptions.of(client.id)
    return stored.length === 0 && this.sessions.has(client.id) ? [NO_SUBSCRIPTION] : stored
  }

  override async subscriptionsByTopic(topic: string): Promise<Subscriber[]> {
    return this.subscriptions.matching(topic)
  }

  override async countOffline() {
    return this.subscriptions.counts()
  }

  override getClientList(topic: string): Readable {
    return Readable.from(this.subscriptions.devicesOf(topic))
  }

  /** Drops the stored subscriptions of a device that are not allowed any more; its queue is judged when it returns. */
  async keepOnly(deviceId: string, allowed: (filter: string) => boolean): Promise<void> {
    const stored = this.subscriptions.of(deviceId)
    const denied = stored.map(({ topic }) => topic).filter(topic => !allowed(topic))
    if (denied.length > 0) await this.removeSubscriptions({ id: deviceId }, denied)
  }

  /** Rejects with `QuotaExceeded`: the message may then be neither passed on nor acknowledged. */
  override async storeRetained(packet: StoredPacket): Promise<void> {
    if (this.retained.store(packet)) this.wrote(packet.brokerCounter)
  }

  /** Whether a retained message that was read some time ago is still the one of its topic: equal ones may follow each other. */
  isNewest({ topic, payload }: Pick<StoredPacket, 'topic'> & { payload: Buffer | string }): boolean {
    return this.retained.topics.of(topic)?.payload === payload
  }

  override createRetainedStream(pattern: string): Retrieved {
    return this.createRetainedStreamCombi([pattern])
  }

  /** What is kept is shown only where its publisher may still publish it. */
  override createRetainedStreamCombi(patterns: string[]): Retrieved {
    return Readable.from(this.retained.topics.matching(patterns).filter(this.parts.mayShow)) as Retrieved
  }

  /** Forgets the retained messages that this device left. */
  async forgetRetained(deviceId: string): Promise<void> {
    this.retained.forget(deviceId)
  }
}
