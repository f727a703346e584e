// A session file of the version before is brought up when it is opened, and nothing in it is lost.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { messageOf } from '../../../../broker/mqtt/persistence/session-queue.ts'
import { createSessionStore } from '../../../../broker/mqtt/persistence/session-store.ts'
import { openSessionFile } from '../../../../db/sessions/session-file.ts'
import { startTestBroker } from '../../../harness/broker.ts'
import { speak5 } from '../../../harness/mqtt5-client.ts'
import { SESSIONS_VERSION_1 } from '../../../harness/older-sessions.ts'
import { kept5, publish5, subscribe5 } from '../../../harness/packets5.ts'
import { createRoll } from '../../../harness/roll.ts'

/** A device with something of every kind. */
const CONTENTS = `
INSERT INTO sessions VALUES (7, 'd1');
INSERT INTO subscriptions VALUES (7, 'devices/d1/#', 1);
INSERT INTO queued VALUES (1, 7, 5, 40, 300, NULL, 1000, 0, 'devices/d1/x', x'6f6e65', 1, 0), (2, 7, NULL, 41, 300, NULL, 1000, 0, 'devices/d1/y', x'74776f', 2, 0);
INSERT INTO unfinished VALUES ('d1', 9);
INSERT INTO retained VALUES ('devices/d1/state', x'6f6e', 1, 'd1');
INSERT INTO wills VALUES ('d1', 'aa', NULL, '1', 'devices/d1/will', x'676f6e65', 1, 0);
INSERT INTO holders VALUES ('d1', NULL, '1', 1);
`

test('a session file of version 1 is brought to this version with all that it holds', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rollcall-'))
  const path = join(folder, 'sessions.db')
  const old = new Sqlite(path)
  old.exec(SESSIONS_VERSION_1)
  old.exec(CONTENTS)
  old.close()
  const file = openSessionFile(path)
  assert.equal(file.setAside, null)
  assert.equal(file.brokerId, 'b')
  assert.equal(file.sqlite.pragma('user_version', { simple: true }), 4)
  const many = 1_000_000
  const store = createSessionStore({
    file,
    bounds: {
      offlineMessagesMax: many,
      offlineBytesMax: many,
      offlineBytesTotalMax: many,
      offlineAgeMaxMs: many,
    },
    nextRowId: null,
    now: () => 2_000,
    onDropped() {},
    onLost() {},
    onKept() {},
  })
  const left = store.load()
  assert.equal(left.sequence, 41)
  assert.deepEqual(left.sessions, [{ id: 7, device: 'd1', expirySeconds: null, endedAt: null }])
  assert.deepEqual(left.subscriptions, [
    { device: 'd1', topic: 'devices/d1/#', qos: 1, options: 0, identifier: null },
  ])
  assert.deepEqual(left.incoming, [{ device: 'd1', messageId: 9 }])
  assert.deepEqual(
    left.retained.map(({ topic, payload, device, properties, expiresAt }) => [
      topic,
      String(payload),
      device,
      properties,
      expiresAt,
    ]),
    [['devices/d1/state', 'on', 'd1', null, null]],
  )
  assert.deepEqual(
    left.wills.map(({ device, topic, delaySeconds, dueAt }) => [device, topic, delaySeconds, dueAt]),
    [['d1', 'devices/d1/will', 0, null]],
  )
  const [sent] = store.queue.sent(7, 0, 10)
  const [unsent] = store.queue.unsent(7, 10)
  assert.deepEqual([sent?.messageId, String(messageOf(sent!).payload)], [5, 'one'])
  assert.deepEqual(
    [unsent?.messageId, String(messageOf(unsent!).payload), messageOf(unsent!).qos],
    [null, 'two', 2],
  )
  assert.deepEqual(store.counts(), { queues: 1, queuedMessages: 2, queuedBytes: 600 })
  await store.close()
  rmSync(folder, { recursive: true })
})

test('a device goes on by MQTT 5 with the session that it had before the upgrade', async context => {
  const roll = await createRoll()
  const device = await roll.enroll('d1')
  const backend = await roll.enroll('b1', { groups: ['backend'] })
  const old = new Sqlite(join(roll.data, 'sessions.db'))
  old.exec(SESSIONS_VERSION_1)
  old.exec(CONTENTS.replaceAll(', 1000, ', `, ${Date.now()}, `).replace("'aa'", `'${device.fingerprint}'`))
  old.exec(`INSERT INTO sessions VALUES (8, 'b1'); INSERT INTO subscriptions VALUES (8, 'devices/+/will', 1);
    INSERT INTO holders VALUES ('b1', NULL, '1', 1);`)
  old.close()
  const t = await startTestBroker({ roll })
  context.after(async () => {
    await t.close()
    await roll.close()
  })
  const listener = await speak5(t, backend, { clientId: 'b1', ...kept5(100) })
  assert.equal(String((await listener.next('publish')).payload), 'gone', 'the will of its last connection')
  const back = await speak5(t, device, { clientId: 'd1', ...kept5(100) })
  assert.equal(back.connack?.sessionPresent, true)
  await back.next('publish', 3)
  assert.deepEqual(
    back.of('publish').map(({ payload, topic, qos }) => [String(payload), topic, qos]),
    [
      ['one', 'devices/d1/x', 1],
      ['two', 'devices/d1/y', 2],
      ['gone', 'devices/d1/will', 1],
    ],
  )
  assert.equal((back.of('publish')[0] as { messageId?: number }).messageId, 5)
  // QoS 2 half done: the same identifier again is the same message.
  const again = publish5('devices/d1/x', 9, { qos: 2, payload: 'again', dup: true })
  assert.equal((await back.ask(again, 'pubrec')).reasonCode, 0)
  assert.equal((await back.ask({ cmd: 'pubrel', messageId: 9 }, 'pubcomp')).reasonCode, 0)
  await back.ask(subscribe5(3, 'devices/d1/state'), 'suback')
  assert.equal(String((await back.next('publish', 4)).payload), 'on', 'retained')
  await back.leave()
  await listener.leave()
})
