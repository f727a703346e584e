// aedes-persistence's own suite for every persistence, held by the session store in a file and in memory.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import abstractPersistence from 'aedes-persistence/abstract.js'
import { SessionStore } from '../../../broker/engine/session-store.ts'
import { openSessionFile } from '../../../db/sessions/session-file.ts'
import { storeParts } from '../../harness/session-store.ts'

/** What only MQTT 5 has. */
const unused = { rh: undefined, rap: undefined, nl: undefined }

/**
 * The suite gives the same list of subscriptions to several clients, queues for such as never subscribed, and ends a store by
 * `destroy`.
 */
class Contract extends SessionStore {
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
    return (await super.subscriptionsByTopic(topic)).map(own => ({ ...unused, ...own }))
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
