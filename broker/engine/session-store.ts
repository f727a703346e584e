// What outlives a connection: to aedes its persistence. Adds queues, unfinished QoS 2 and wills to subscriptions and retained
// messages; on disk or, where durable sessions are off, in a database in memory. Every queue has an end.
import { Readable } from 'node:stream'
import type AsyncPersistence from 'aedes-persistence/asyncPersistence.js'
import { prepareQueue } from '../../db/sessions/session-queue.ts'
import type { WillRow } from '../../db/sessions/session-records.ts'
import { createArriving } from './durable/arriving.ts'
import { createHolderRecord } from './durable/holder-record.ts'
import { createSessionQueue } from './durable/session-queue.ts'
import {
  type Client,
  type SessionStoreParts,
  type StoredPacket,
  StoredState,
} from './durable/stored-state.ts'
import { createUnreleasedIds } from './durable/unreleased-ids.ts'

type QueuedPacket = Parameters<AsyncPersistence['outgoingUpdate']>[1]
type Subscriber = Parameters<AsyncPersistence['outgoingEnqueue']>[0]
type QoS = StoredPacket['qos']
const NO_PAYLOAD = Buffer.alloc(0)
type Will = { topic: string; payload: Buffer | string; qos: 0 | 1 | 2; retain: boolean }

export class SessionStore extends StoredState {
  readonly #queue: ReturnType<typeof createSessionQueue>
  readonly #unreleased: ReturnType<typeof createUnreleasedIds>
  /** With which group a message of QoS 2 came to be known. */
  readonly #arrived = new WeakMap<object, Promise<void>>()
  /** The connections that have a will. */
  readonly #willOf = new Map<string, Client>()
  /** The devices whose will is on disk. */
  readonly #willing = new Set<string>()
  /** Wills of connections that ended with the broker's last life. */
  readonly leftWills = new Map<string, WillRow>()
  readonly arriving = createArriving()
  readonly holders: ReturnType<typeof createHolderRecord>
  #handsOut = true

  constructor(parts: SessionStoreParts) {
    super(parts)
    const { file, bounds, now } = parts
    this.#queue = createSessionQueue({
      table: prepareQueue(file.sqlite),
      commit: this.commit,
      ledger: this.ledger,
      brokerId: file.brokerId,
      ageMaxMs: bounds.offlineAgeMaxMs,
      now,
      onDropped: (what, session) => parts.onDropped(what, this.devices.get(session) ?? ''),
    })
    this.holders = createHolderRecord(this.records, this.commit)
    const { records, commit } = this
    this.#unreleased = createUnreleasedIds({ records, commit, max: bounds.inflightInboundMax })
  }

  /** Reads what the last life left. aedes's counter goes on where it ended, for it orders queues. */
  override async setup(broker: { id: string; counter: number }): Promise<void> {
    await super.setup(broker)
    await this.load()
    broker.counter = Math.max(broker.counter, this.#queue.load())
    this.#unreleased.load()
    for (const will of this.records.wills()) {
      this.#willing.add(will.device)
      this.leftWills.set(will.device, will)
    }
    const leavers = new Set(this.retained.topics.devices())
    this.holders.load(device => leavers.has(device))
  }

  counts() {
    return { ...this.ledger.counts(), ...this.retained.counts() }
  }

  storedDevices(): Iterable<string> {
    return this.sessions.keys()
  }

  /** Of all stored sessions together. */
  subscriptionCount(): number {
    return this.records.subscriptionCount()
  }

  /** Whether anything is kept of this device that `purge` would forget. */
  keepsOf(deviceId: string): boolean {
    return (
      this.sessions.has(deviceId) ||
      this.#unreleased.keepsOf(deviceId) ||
      this.#willing.has(deviceId) ||
      this.leftWills.has(deviceId)
    )
  }

  /** Who has left something here: a stored session, retained messages, a will. */
  leftBy(): string[] {
    return [...new Set([...this.sessions.keys(), ...this.retained.topics.devices(), ...this.#willing])]
  }

  /** One that the session has in its queue already, by another of its subscriptions, is not put there twice. */
  override async outgoingEnqueue(subscriber: Subscriber, packet: StoredPacket): Promise<void> {
    const session = this.sessions.get(subscriber.clientId)
    if (session !== undefined && this.#queue.has(session, packet)) return
    await this.outgoingEnqueueCombi([subscriber], packet)
  }

  /** Resolves before it is on disk: whoever acknowledges the message asks for its group. */
  override async outgoingEnqueueCombi(subscribers: Subscriber[], packet: StoredPacket): Promise<void> {
    if (subscribers.length === 0) return
    const sessions = new Map<number, QoS>()
    for (const { clientId, qos } of subscribers) {
      // It may have been found subscribed, and purged before the message reached the queue.
      const session = this.sessions.get(clientId)
      if (session === undefined) continue
      // The most that it was granted, by any of its subscriptions [MQTT-3.3.5-1].
      const most = Math.max(qos, sessions.get(session) ?? 0)
      sessions.set(session, Math.min(most, packet.qos) as QoS)
    }
    if (sessions.size > 0 && this.#queue.enqueue(sessions, packet)) this.wrote(packet.brokerCounter)
  }

  /** Resolves once it is on disk: what is sent is known to have been. */
  override async outgoingUpdate(client: Client, packet: QueuedPacket): Promise<void> {
    await this.#queue.update(this.sessions.get(client.id) ?? -1, packet)
  }

  /** A retained message that is about to be shown to a kept session, as `outgoingUpdate`: it is owed from now on [MQTT-4.4.0-1]. */
  async outgoingShow(client: Client, packet: StoredPacket): Promise<void> {
    const session = this.sessions.get(client.id)
    if (session === undefined || !this.#queue.enqueue([[session, packet.qos]], packet, 1)) return
    await this.#queue.update(session, packet)
  }

  override async outgoingClearMessageId(client: Client, packet: QueuedPacket) {
    if (packet.messageId !== undefined) this.parts.onAcknowledged(client, packet.messageId)
    // aedes strikes out what it may not forward; to a session that is ending it may not now, and owes it all the same.
    if (this.parts.isEnding(client)) return undefined
    // Nor does it owe less where several subscriptions match: aedes strikes out once for each but the first.
    if (packet.messageId === undefined && !this.parts.isDenied(packet)) return undefined
    const session = this.sessions.get(client.id)
    // Whoever has no stored session acknowledges too: that costs no look at the disk.
    if (session === undefined) return undefined
    return this.#queue.strikeOut(session, packet) as StoredPacket | undefined
  }

  override outgoingStream(client: Client): Readable {
    let over = false
    const isOver = () => over || client.closed === true || !this.#handsOut
    const caughtUp = client.catchingUp?.end ?? null
    const messages = this.#queue.stream(this.sessions.get(client.id) ?? -1, isOver, caughtUp)
    return Readable.from(messages).once('close', () => {
      over = true
    })
  }

  /** Whether this message is in the device's queue and was not handed out yet. */
  waits(deviceId: string, packet: { brokerId?: string | null; brokerCounter?: number }): boolean {
    return this.#queue.waits(this.sessions.get(deviceId) ?? -1, packet)
  }

  /** Whether something was sent to this device's session and is not acknowledged yet. */
  isUnderWay(deviceId: string): boolean {
    return this.#queue.isUnderWay(this.sessions.get(deviceId) ?? -1)
  }

  /** What waits goes on waiting, also where its device has just come for it. */
  handOutNoMore(): void {
    this.#handsOut = false
  }

  /** Drops what has waited too long, some at a time. Gives whether more may be left. */
  dropAged(): boolean {
    return this.#queue.dropAged()
  }

  override async cleanSubscriptions(client: Client): Promise<void> {
    const session = this.sessions.get(client.id)
    if (session !== undefined) this.#queue.clear(session)
    await super.cleanSubscriptions(client)
  }

  /**
   * Written in the turn in which its message is queued, so both stay or neither; PUBREC waits for their group. Rejects with
   * `QuotaExceeded` where too many wait for PUBREL.
   */
  override async incomingStorePacket(client: Client, packet: StoredPacket): Promise<void> {
    const messageId = packet.messageId ?? 0
    this.#unreleased.add(client.id, messageId)
    if (client.clean === true) return
    try {
      this.assertLasts(client)
      this.commit.write(() => {
        this.addSession(client.id)
        this.#unreleased.store(client.id, messageId)
      })
    } catch (error) {
      this.#unreleased.remove(client.id, messageId)
      throw error
    }
    this.#arrived.set(packet, this.commit.kept())
  }

  /** With which group this message of QoS 2 came to be known; null where only its connection knows it. */
  arrivalOf(packet: object): Promise<void> | null {
    return this.#arrived.get(packet) ?? null
  }

  /** A message that was sent twice is known once the first is on disk. Of it there is its identifier alone. */
  override async incomingGetPacket(
    client: Client,
    packet: { messageId?: number; cmd?: string },
  ): Promise<StoredPacket> {
    const { messageId = 0, cmd } = packet
    const isFirst = cmd === 'publish' && (await this.arriving.begin(client, messageId)) === null
    if (this.#unreleased.has(client.id, messageId) && this.#unreleased.isStored(client.id))
      await this.commit.kept()
    if (!this.#unreleased.has(client.id, messageId)) throw new Error('no such packet')
    if (isFirst) this.arriving.end(client, messageId)
    return { topic: '', payload: NO_PAYLOAD, qos: 2, messageId }
  }

  /** PUBCOMP waits for it: the identifier may come again with another message. */
  override async incomingDelPacket(client: Client, packet: { messageId?: number }): Promise<void> {
    if (!this.#unreleased.remove(client.id, packet.messageId ?? 0)) throw new Error('no such packet')
    if (!this.#unreleased.isStored(client.id)) return
    await this.commit.kept().catch(error => {
      this.parts.onUnkept(client) // aedes would send PUBCOMP all the same
      throw error
    })
  }

  /** A message that could not be routed was not received: the same one again is new. */
  forgetArrival(client: Client, packet: { messageId?: number }): void {
    this.#unreleased.remove(client.id, packet.messageId ?? 0)
  }

  override async cleanIncoming(client: Client): Promise<void> {
    // aedes cleans up after a clean session has ended: another may have begun meanwhile.
    if (client.clean === true && this.sessions.has(client.id)) return
    this.#unreleased.clear(client.id)
  }

  /** CONNACK of a session that stays waits for its will, but does not depend on it. */
  override async putWill(client: Client, packet: Will): Promise<unknown> {
    this.#willOf.set(client.id, client)
    const kept = await super.putWill(client, packet)
    const stands = this.parts.whose(client)
    if (stands === null) return kept
    const { holder, fingerprint } = stands
    const { topic, qos } = packet
    const row: WillRow = {
      device: client.id,
      issuer: holder.issuerId,
      serial: holder.serialNumber,
      fingerprint,
      topic,
      payload: Buffer.from(packet.payload ?? ''),
      qos,
      retain: packet.retain ? 1 : 0,
    }
    this.leftWills.delete(client.id)
    this.#willing.add(client.id)
    this.commit.owe(() => this.records.putWill(row))
    if (client.clean === false) await this.commit.kept().catch(() => {})
    return kept
  }

  override async delWill(client: Client & { brokerId?: string }): Promise<unknown> {
    // aedes names the broker where a connection has ended: its will goes, and not that of one which took it over.
    if (client.brokerId !== undefined && this.#willOf.get(client.id)?.closed === false) return undefined
    this.#willOf.delete(client.id)
    this.leftWills.delete(client.id)
    if (this.#willing.delete(client.id)) this.commit.owe(() => this.records.removeWill(client.id))
    return super.delWill(client)
  }

  /** Forgets all that is kept for a device: subscriptions, queue, unfinished QoS 2, will. */
  async purge(deviceId: string): Promise<void> {
    const client = { id: deviceId }
    await this.cleanSubscriptions(client)
    await this.cleanIncoming(client)
    await this.delWill(client)
  }

  /** As `purge`. Resolves once nothing can bring it back, or nothing can be written now: then it is owed. */
  async purgeForGood(deviceId: string): Promise<void> {
    const left = this.keepsOf(deviceId)
    await this.purge(deviceId)
    if (left) await this.commit.kept().catch(() => {})
  }

  /** Writes what is left to write. */
  async close(): Promise<void> {
    await this.commit.close()
    this.parts.file.close()
  }
}
