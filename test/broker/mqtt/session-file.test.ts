// A session file of the version before is brought up when it is opened, and nothing in it is lost.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { messageOf } from '../../../broker/mqtt/persistence/session-queue.ts'
import { createSessionStore } from '../../../broker/mqtt/persistence/session-store.ts'
import { openSessionFile } from '../../../db/sessions/session-file.ts'

/** As the broker before made it. */
const VERSION_1 = `
CREATE TABLE broker (id TEXT NOT NULL) STRICT;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, device TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE subscriptions (session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE, filter TEXT NOT NULL, qos INTEGER NOT NULL,
  PRIMARY KEY (session, filter)) STRICT, WITHOUT ROWID;
CREATE TABLE queued (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, message_id INTEGER, counter INTEGER NOT NULL, bytes INTEGER NOT NULL,
  broker TEXT, at INTEGER NOT NULL, released INTEGER NOT NULL DEFAULT 0, topic TEXT NOT NULL, payload ANY NOT NULL, qos INTEGER NOT NULL,
  retain INTEGER NOT NULL) STRICT;
CREATE INDEX queued_by_session ON queued (session, message_id, counter, bytes);
CREATE TABLE unfinished (device TEXT NOT NULL, message_id INTEGER NOT NULL, PRIMARY KEY (device, message_id)) STRICT, WITHOUT ROWID;
CREATE TABLE retained (topic TEXT PRIMARY KEY, payload ANY NOT NULL, qos INTEGER NOT NULL, device TEXT) STRICT;
CREATE TABLE wills (device TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, issuer TEXT, serial TEXT NOT NULL, topic TEXT NOT NULL,
  payload ANY NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL) STRICT;
CREATE TABLE holders (device TEXT PRIMARY KEY, issuer TEXT, serial TEXT NOT NULL, keeps_session INTEGER NOT NULL) STRICT;
INSERT INTO broker VALUES ('b');
INSERT INTO sessions VALUES (7, 'd1');
INSERT INTO subscriptions VALUES (7, 'devices/d1/#', 1);
INSERT INTO queued VALUES (1, 7, 5, 40, 300, NULL, 1000, 0, 'devices/d1/x', x'6f6e65', 1, 0), (2, 7, NULL, 41, 300, NULL, 1000, 0, 'devices/d1/y', x'74776f', 2, 0);
INSERT INTO unfinished VALUES ('d1', 9);
INSERT INTO retained VALUES ('devices/d1/state', x'6f6e', 1, 'd1');
INSERT INTO wills VALUES ('d1', 'aa', NULL, '1', 'devices/d1/will', x'676f6e65', 1, 0);
INSERT INTO holders VALUES ('d1', NULL, '1', 1);
PRAGMA user_version = 1;
`

test('a session file of version 1 is brought to version 2 with all that it holds', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rollcall-'))
  const path = join(folder, 'sessions.db')
  const old = new Sqlite(path)
  old.exec(VERSION_1)
  old.close()
  const file = openSessionFile(path)
  assert.equal(file.setAside, null)
  assert.equal(file.brokerId, 'b')
  assert.equal(file.sqlite.pragma('user_version', { simple: true }), 2)
  const many = 1_000_000
  const store = createSessionStore({
    file,
    bounds: {
      offlineMessagesMax: many,
      offlineBytesMax: many,
      offlineBytesTotalMax: many,
      offlineAgeMaxMs: many,
    },
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
