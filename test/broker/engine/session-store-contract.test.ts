// aedes-persistence's own suite for every persistence, held by the session store in a file and in memory.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import abstractPersistence from 'aedes-persistence/abstract.js'
import { SessionStore } from '../../../broker/engine/session-store.ts'
import { openSessionFile } from '../../../db/sessions/session-file.ts'
import { compileMatcher, parseFilter } from '../../../policy/topic-filter.ts'
import { storeParts } from '../../harness/session-store.ts'

/** What only MQTT 5 has. */
const unused = { rh: undefined, rap: undefined, nl: undefined }

/**
 * The suite gives the same list of subscriptions to several clients, queues for such as never subscribed, ends a store by
 * `destroy`, wants received messages of QoS 2 back whole, of which the store keeps the identifier alone, and of a device every
 * subscription that matches, where the store gives the one with the most QoS.
 */
class Contract extends SessionStore {
  readonly #received = new Map<number, object>()

  override async incomingStorePacket(...[client, packet]: Parameters<SessionStore['incomingStorePacket']>) {
    await super.incomingStorePacket(client, packet)
    const { length: _, ...received } = packet as typeof packet & { length: number }
    this.#received.set(packet.messageId!, received)
  }

  override async incomingGetPacket(...[client, packet]: Parameters<SessionStore['incomingGetPacket']>) {
    const known = await super.incomingGetPacket(client, packet)
    return { ...known, ...this.#received.get(known.messageId!) }
  }

  override addSubscriptions(...[client, list]: Parameters<SessionStore['addSubscriptions']>) {
    return super.addSubscriptions(client, [...list])
  }

  override async outgoingEnqueueCombi(
    ...[subscribers, packet]: Parameters<SessionStore['outgoingEnqueueCombi']>
  ) {
    for (const { clientId } of subscribers) await this.addSubscriptions({ id: clientId }, [])
    await super.outgoingEnqueueCombi(subscribers, packet)
  }

  override async subscriptionsByClient(...[client]: Parameters<SessionStore['subscriptionsByClient']>) {
    return (await super.subscriptionsByClient(client)).map(own => ({ ...unused, ...own }))
  }

  override async subscriptionsByTopic(topic: string) {
    const devices = (await super.subscriptionsByTopic(topic)).map(({ clientId }) => clientId)
    const matches = (filter: string) => compileMatcher(parseFilter(filter) ?? [])(topic)
    const all = await Promise.all(
      devices.map(async id => {
        const own = await this.subscriptionsByClient({ id })
        return own.filter(one => one.qos > 0 && matches(one.topic)).map(one => ({ ...one, clientId: id }))
      }),
    )
    return all.flat().toSorted((one, other) => other.topic.length - one.topic.length)
  }

  async destroy() {
    await this.close()
  }
}

describe('the session store keeps the contract of a persistence', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rollcall-contract-'))
  after(() => rmSync(folder, { recursive: true }))
  let stores = 0
  for (const medium of ['in a file', 'in memory'] as const) {
    describe(medium, () => {
      abstractPersistence({
        test,
        testAsync: true,
        persistence: () => {
          stores += 1
          const file = medium === 'in memory' ? null : join(folder, `sessions-${stores}.db`)
          return new Contract(storeParts({ file: openSessionFile(file) }))
        },
      })
    })
  }
})
