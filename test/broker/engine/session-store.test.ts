// What the session store keeps over a life of the broker, and what it drops: the oldest first, by number, bytes and age.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { SessionStoreParts } from '../../../broker/engine/durable/stored-state.ts'
import { SessionStore } from '../../../broker/engine/session-store.ts'
import { markDamaged, openSessionFile } from '../../../db/sessions/session-file.ts'
import { storeParts } from '../../harness/session-store.ts'

type Seen = { payload?: Buffer; messageId?: number; cmd: string }

const subscription = () => [{ topic: 't/#', qos: 1 as const }]

describe('the session store', () => {
  let folder: string
  let file: string
  let store: SessionStore
  let now = 1_000_000
  let groups = 0
  const dropped: [string, string][] = []

  async function open(bounds: Partial<SessionStoreParts['bounds']> = {}): Promise<void> {
    const parts = storeParts({
      file: openSessionFile(file),
      now: () => now,
      onDropped: (what, device) => dropped.push([what, device]),
      onKept: () => {
        groups += 1
      },
      whose: ({ id }) => ({
        holder: { deviceId: id, issuerId: null, serialNumber: '1' },
        fingerprint: 'ff',
      }),
    })
    store = new SessionStore({ ...parts, bounds: { ...parts.bounds, ...bounds } })
    await store.setup({ id: 'broker', counter: 0 })
  }

  async function reopen(bounds: Partial<SessionStoreParts['bounds']> = {}): Promise<void> {
    await store.close()
    await open(bounds)
  }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rollcall-sessions-'))
    file = join(folder, 'sessions.db')
    groups = 0
    dropped.length = 0
    await open()
  })
  afterEach(async () => {
    await store.close()
    rmSync(folder, { recursive: true })
  })

  async function queue(device: string, payload: string, counter: number): Promise<void> {
    const packet = { topic: 't/1', payload: Buffer.from(payload), qos: 1 as const, brokerCounter: counter }
    await store.outgoingEnqueueCombi([{ clientId: device, topic: 't/#', qos: 1 }], packet)
  }

  async function waiting(device: string): Promise<Seen[]> {
    return (await store.outgoingStream({ id: device }).toArray()) as Seen[]
  }

  const payloads = async (device: string) => (await waiting(device)).map(({ payload }) => String(payload))

  test('says whether it keeps anything of a device', async () => {
    const client = { id: 'd1', clean: false }
    const qos2 = { topic: 't/1', payload: Buffer.from('x'), qos: 2 as const, messageId: 1 }
    const will = { topic: 't/1', payload: 'gone', qos: 1 as const, retain: false }
    assert.equal(store.keepsOf('d1'), false)
    for (const leave of [
      () => store.addSubscriptions(client, subscription()),
      () => store.incomingStorePacket(client, qos2),
      () => store.incomingStorePacket({ ...client, clean: true }, qos2),
      () => store.putWill(client, will),
    ]) {
      await leave()
      assert.equal(store.keepsOf('d1'), true)
      await store.purge('d1')
      assert.equal(store.keepsOf('d1'), false)
    }
    await store.addSubscriptions(client, subscription())
    await reopen()
    assert.equal(store.keepsOf('d1'), true)
  })

  test('takes a session for present once it is on disk, and not where it was lost', async () => {
    let synced = Promise.withResolvers<void>()
    const sync = () => synced.promise
    const other = new SessionStore(storeParts({ file: { ...openSessionFile(null), sync } }))
    await other.setup({ id: 'broker', counter: 0 })
    const begun = other.beginSession('d1')
    const met = other.beginning('d1')
    assert.equal(other.hasSession('d1'), false)
    synced.resolve()
    await Promise.all([begun, met])
    assert.equal(other.hasSession('d1'), true)
    await other.purge('d1')
    assert.equal(other.hasSession('d1'), false)
    synced = Promise.withResolvers()
    synced.promise.catch(() => {})
    const lost = other.beginSession('d3')
    synced.reject(new Error('EIO'))
    await assert.rejects(lost, /EIO/)
    await other.beginning('d3')
    assert.deepEqual([other.hasSession('d3'), other.keepsOf('d3')], [false, false])
    await other.close()
  })

  test('begins a session with the first thing that has to be kept of it', async () => {
    const client = { id: 'd1', clean: false }
    await store.incomingStorePacket(client, { topic: 't', payload: Buffer.from('x'), qos: 2, messageId: 5 })
    await reopen()
    assert.equal(store.hasSession('d1'), true)
    assert.equal((await store.incomingGetPacket(client, { messageId: 5 })).messageId, 5)
  })

  test('lets no connection that was ended bring back what was purged', async () => {
    const client = { id: 'd1', clean: false, closed: true }
    const qos2 = { topic: 't', payload: Buffer.from('x'), qos: 2 as const, messageId: 5 }
    await assert.rejects(store.incomingStorePacket(client, qos2), /ended/)
    await assert.rejects(store.addSubscriptions(client, subscription()), /ended/)
    assert.equal(store.hasSession('d1'), false)
    await assert.rejects(store.incomingGetPacket(client, { messageId: 5 }))
    await store.beginSession('d1')
    await store.incomingStorePacket(client, qos2)
    assert.equal((await store.incomingGetPacket(client, { messageId: 5 })).messageId, 5)
  })

  test('keeps subscriptions, queues, unfinished QoS 2, retained messages, wills and holders', async () => {
    const client = { id: 'd1', clean: false }
    await store.addSubscriptions(client, subscription())
    for (const [counter, payload] of ['a', 'b', 'c'].entries()) await queue('d1', payload, counter + 1)
    await store.outgoingUpdate(client, { brokerCounter: 1, messageId: 7 })
    await store.outgoingUpdate(client, { brokerCounter: 2, messageId: 8 })
    await store.outgoingUpdate(client, { cmd: 'pubrel', messageId: 8 } as { messageId: number })
    await store.incomingStorePacket(client, { topic: 't', payload: Buffer.from('x'), qos: 2, messageId: 5 })
    await store.storeRetained({ topic: 'r', payload: Buffer.from('kept'), qos: 1, clientId: 'd1' })
    await store.putWill(client, { topic: 'w', payload: 'gone', qos: 1, retain: true })
    store.holders.keep({ deviceId: 'd1', issuerId: 'i', serialNumber: '1' }, 'session')
    await reopen()
    const kept = await store.subscriptionsByClient(client)
    assert.deepEqual(
      kept.map(({ topic, qos }) => [topic, qos]),
      [['t/#', 1]],
    )
    assert.deepEqual(
      (await waiting('d1')).map(({ cmd, messageId, payload }) => [
        cmd,
        messageId,
        payload && String(payload),
      ]),
      [
        ['publish', 7, 'a'],
        ['pubrel', 8, undefined],
        ['publish', undefined, 'c'],
      ],
    )
    assert.equal((await store.incomingGetPacket(client, { messageId: 5 })).messageId, 5)
    const [retained] = (await store.createRetainedStream('r').toArray()) as {
      payload: Buffer
      clientId: string
    }[]
    assert.deepEqual([String(retained?.payload), retained?.clientId], ['kept', 'd1'])
    assert.equal(store.leftWills.get('d1')?.topic, 'w')
    assert.deepEqual(store.holders.all()[0]?.holder.issuerId, 'i')
    assert.deepEqual(store.leftBy(), ['d1'])
    await store.purge('d1')
    await store.forgetRetained('d1')
    await reopen()
    assert.deepEqual([store.leftBy(), await waiting('d1')], [[], []])
  })

  test('goes on counting where the last life ended, so that queues keep their order', async () => {
    await store.addSubscriptions({ id: 'd1' }, subscription())
    await queue('d1', 'before', 41)
    await store.close()
    const broker = { id: 'broker', counter: 0 }
    store = new SessionStore(storeParts({ file: openSessionFile(file), now: () => now }))
    await store.setup(broker)
    assert.equal(broker.counter, 41)
    await queue('d1', 'after', 42)
    assert.deepEqual(await payloads('d1'), ['before', 'after'])
  })

  test('drops the oldest message of a full queue, and what was sent is still owed', async () => {
    await reopen({ offlineMessagesMax: 3 })
    await store.addSubscriptions({ id: 'd1' }, subscription())
    for (let counter = 1; counter <= 4; counter += 1) await queue('d1', String(counter), counter)
    assert.deepEqual(await payloads('d1'), ['2', '3', '4'])
    assert.deepEqual(dropped.splice(0), [['offline', 'd1']])
    await reopen({ offlineMessagesMax: 3 })
    await store.outgoingUpdate({ id: 'd1' }, { brokerCounter: 2, messageId: 1 })
    await queue('d1', '5', 5)
    assert.deepEqual(await payloads('d1'), ['2', '4', '5'])
  })

  test('takes no message of one device to make room for those of another', async () => {
    const heavy = (counter: number) => `${counter}`.padStart(9_000, 'x')
    await reopen({ offlineBytesTotalMax: 12_000 })
    for (const id of ['d1', 'd2', 'd3']) await store.addSubscriptions({ id }, subscription())
    for (const counter of [1, 2, 3]) await queue('d1', heavy(counter), counter)
    await queue('d2', heavy(4), 4)
    await queue('d2', heavy(5), 5)
    await queue('d2', heavy(6), 6)
    assert.deepEqual(dropped.splice(0), [
      ['offline', 'd2'],
      ['offline', 'd2'],
    ])
    await queue('d3', 'within its reserve', 7)
    await queue('d3', 'x'.repeat(20_000), 8)
    assert.deepEqual(await payloads('d1'), [1, 2, 3].map(heavy))
    assert.deepEqual(await payloads('d2'), [heavy(6)])
    assert.deepEqual(await payloads('d3'), ['within its reserve'], 'the others are not dropped in vain')
    assert.deepEqual(dropped.splice(0), [['offline', 'd3']])
  })

  test('drops what has waited too long, and shows nothing of it before', async () => {
    await reopen({ offlineAgeMaxMs: 1_000 })
    await store.addSubscriptions({ id: 'd1' }, subscription())
    await queue('d1', 'old', 1)
    now += 1_000
    assert.equal(store.dropAged(), false)
    await queue('d1', 'new', 2)
    assert.deepEqual(await payloads('d1'), ['old', 'new'], 'to the millisecond')
    now += 1
    assert.deepEqual(await payloads('d1'), ['new'])
    store.dropAged()
    assert.deepEqual(dropped, [['aged', 'd1']])
    assert.equal(store.counts().queuedMessages, 1)
  })

  test('never gives a packet identifier twice, and a page at once', async () => {
    const client = { id: 'd1', clean: false }
    await store.addSubscriptions(client, subscription())
    for (let counter = 1; counter <= 250; counter += 1) await queue('d1', String(counter), counter)
    await store.outgoingUpdate(client, { brokerCounter: 1, messageId: 65_535 })
    const before = groups
    const given = new Set<number>()
    let wanted = 65_400
    for await (const packet of store.outgoingStream(client)) {
      const sent = { ...packet, messageId: packet.messageId ?? wanted++ }
      await store.outgoingUpdate(client, sent)
      given.add(sent.messageId)
    }
    assert.deepEqual([given.size, given.has(0), given.has(65_536)], [250, false, false])
    assert.ok(groups - before <= 4, `${groups - before} groups for three pages`)
    for (const messageId of given) await store.outgoingClearMessageId(client, { messageId })
    assert.deepEqual(store.counts().queuedMessages, 0)
  })

  test('writes nothing for sessions that are clean', async () => {
    const client = { id: 'd1', clean: true }
    const before = groups
    await store.purge('d1')
    await store.incomingStorePacket(client, { topic: 't', payload: Buffer.from('x'), qos: 2, messageId: 5 })
    await store.outgoingEnqueueCombi([], { topic: 't', payload: Buffer.from('x'), qos: 1 })
    await store.incomingDelPacket(client, { messageId: 5 })
    await store.cleanIncoming(client)
    await store.delWill(client)
    await store.close()
    assert.equal(groups, before)
    await open()
  })

  test('is of mode 0600, and begins anew where its file is damaged', async () => {
    await store.addSubscriptions({ id: 'd1' }, subscription())
    assert.equal(statSync(file).mode & 0o777, 0o600)
    await store.close()
    writeFileSync(file, Buffer.alloc(8_192, 'x'))
    const opened = openSessionFile(file)
    assert.ok(opened.setAside?.file.startsWith(`${file}.damaged-`))
    opened.close()
    markDamaged(file)
    const again = openSessionFile(file, Date.now() + 1_000)
    assert.match(again.setAside?.error ?? '', /while in use/)
    again.close()
    assert.equal(readdirSync(folder).filter(name => /^sessions\.db\.damaged-[^.]*$/.test(name)).length, 2)
    await open()
    assert.deepEqual(store.leftBy(), [])
  })
})
