// The queue of a session on its way to a device that catches up: nothing is left behind, and its end is told in time.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { SessionStore } from '../../../broker/engine/session-store.ts'
import { openSessionFile } from '../../../db/sessions/session-file.ts'
import { storeParts } from '../../harness/session-store.ts'
import { temporaryDirectory } from '../../provisioning/harness.ts'

type Sent = { payload?: Buffer; messageId?: number }

describe('what is handed out to a device that catches up', () => {
  let folder: ReturnType<typeof temporaryDirectory>
  let store: SessionStore

  beforeEach(async () => {
    folder = temporaryDirectory()
    store = new SessionStore(storeParts({ file: openSessionFile(join(folder.path, 'sessions.db')) }))
    await store.setup({ id: 'broker', counter: 0 })
    await store.addSubscriptions({ id: 'd1' }, [{ topic: 't/#', qos: 1 }])
  })
  afterEach(async () => {
    await store.close()
    folder[Symbol.dispose]()
  })

  async function queue(...counters: number[]): Promise<void> {
    for (const counter of counters) {
      const packet = { topic: 't/1', payload: Buffer.from(`${counter}`), qos: 1 as const }
      await store.outgoingEnqueue(
        { clientId: 'd1', topic: 't/#', qos: 1 },
        Object.assign(packet, { brokerCounter: counter }),
      )
    }
  }

  test('holds what joins meanwhile, behind newer ones too, and is over when all of it is taken', async () => {
    const ended: number[] = []
    const client = {
      id: 'd1',
      clean: false,
      catchingUp: { end: (newest: number) => void ended.push(newest), holds: () => false },
    }
    await queue(1, 2, 4)
    const order: string[] = []
    for await (const packet of store.outgoingStream(client) as AsyncIterable<Sent>) {
      assert.deepEqual(ended, [])
      order.push(String(packet.payload))
      if (order.length === 3) await queue(3, 5)
      await store.outgoingUpdate(client, Object.assign(packet, { messageId: order.length }))
    }
    assert.deepEqual(order, ['1', '2', '4', '5', '3'])
    assert.deepEqual(ended, [5])
    assert.equal(store.waits('d1', { brokerCounter: 3 }), false)
    await queue(6)
    assert.equal(store.waits('d1', { brokerCounter: 6 }), true)
  })

  test('ends with the connection, though nothing of it was taken', async () => {
    const end = () => assert.fail('not all of it was taken')
    const client = { id: 'd1', clean: false, closed: false, catchingUp: { end, holds: () => false } }
    await queue(1)
    const seen: unknown[] = []
    for await (const packet of store.outgoingStream(client)) {
      seen.push(packet)
      client.closed = true
    }
    assert.equal(seen.length, 1)
  })
})
