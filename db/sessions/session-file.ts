// Opens the broker's session store, a SQLite file of its own beside the registry: what was acknowledged for devices that are
// away. A damaged file is set aside under another name. Knows no MQTT.
import { randomUUID } from 'node:crypto'
import { chmodSync, closeSync, existsSync, fdatasync, openSync, renameSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'
import { asRegistryError } from '../registry-error.ts'

export type SessionFile = {
  sqlite: Database
  /** The name this broker has in what it stores, the same over all its lives. */
  brokerId: string
  /** The damaged file that was found instead, and where it lies now. */
  setAside: { file: string; error: string } | null
  /**
   * Resolves once all that was committed before is on disk, but for messages that a store of several nodes refused for good: gives why, by
   * their sequence numbers. Rejects where the disk says that it is not.
   */
  sync(): Promise<RefusedMessages>
  close(): void
}

export type RefusedMessages = ReadonlyMap<number, Error>

const NONE_REFUSED: RefusedMessages = new Map()
const VERSION = 4

/** Of version 1. */
const SCHEMA = `
CREATE TABLE broker (id TEXT NOT NULL) STRICT;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, device TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE subscriptions (
  session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
  filter TEXT NOT NULL,
  qos INTEGER NOT NULL,
  PRIMARY KEY (session, filter)
) STRICT, WITHOUT ROWID;
CREATE TABLE queued (
  id INTEGER PRIMARY KEY,
  session INTEGER NOT NULL,
  message_id INTEGER,
  counter INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  broker TEXT,
  at INTEGER NOT NULL,
  released INTEGER NOT NULL DEFAULT 0,
  topic TEXT NOT NULL,
  payload ANY NOT NULL,
  qos INTEGER NOT NULL,
  retain INTEGER NOT NULL
) STRICT;
CREATE INDEX queued_by_session ON queued (session, message_id, counter, bytes);
CREATE TABLE unfinished (
  device TEXT NOT NULL,
  message_id INTEGER NOT NULL,
  PRIMARY KEY (device, message_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE retained (
  topic TEXT PRIMARY KEY,
  payload ANY NOT NULL,
  qos INTEGER NOT NULL,
  device TEXT
) STRICT;
CREATE TABLE wills (
  device TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  issuer TEXT,
  serial TEXT NOT NULL,
  topic TEXT NOT NULL,
  payload ANY NOT NULL,
  qos INTEGER NOT NULL,
  retain INTEGER NOT NULL
) STRICT;
CREATE TABLE holders (
  device TEXT PRIMARY KEY,
  issuer TEXT,
  serial TEXT NOT NULL,
  keeps_session INTEGER NOT NULL
) STRICT;
`

/** What MQTT 5 adds: properties as the bytes that came, expiry, options of subscriptions, when a session ends and a will is due. */
const TO_VERSION_2 = `
ALTER TABLE sessions ADD COLUMN expiry_s INTEGER;
ALTER TABLE sessions ADD COLUMN ended_at INTEGER;
ALTER TABLE subscriptions ADD COLUMN options INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN identifier INTEGER;
ALTER TABLE queued ADD COLUMN properties BLOB;
ALTER TABLE queued ADD COLUMN expires_at INTEGER;
ALTER TABLE queued ADD COLUMN identifiers TEXT;
CREATE INDEX queued_expiring ON queued (expires_at) WHERE expires_at IS NOT NULL;
ALTER TABLE retained ADD COLUMN properties BLOB;
ALTER TABLE retained ADD COLUMN expires_at INTEGER;
ALTER TABLE wills ADD COLUMN properties BLOB;
ALTER TABLE wills ADD COLUMN expiry_s INTEGER;
ALTER TABLE wills ADD COLUMN delay_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE wills ADD COLUMN due_at INTEGER;
`

/** The last change of the registry that deleted a stored session and is in effect here. */
const TO_VERSION_3 = 'ALTER TABLE broker ADD COLUMN cleared_epoch INTEGER NOT NULL DEFAULT 0;'

/** When a message was retained; null of those that are there. */
const TO_VERSION_4 = 'ALTER TABLE retained ADD COLUMN at INTEGER;'

/** Beyond this many pages the log is written into the file, in one go: rarely, for nobody is served meanwhile. */
const CHECKPOINT_PAGES = 4_000

/**
 * Opens or makes the store; null for one in memory, which ends with the process. The file is 0600.
 * @throws {RegistryError} where the disk is full, or the file is of a newer version
 */
export function openSessionFile(file: string | null, now = Date.now()): SessionFile {
  if (file === null) return openedInMemory()
  try {
    return opened(file, null)
  } catch (error) {
    if (!isDamage(error)) throw asRegistryError(error)
    const aside = setAside(file, now)
    return opened(file, { file: aside, error: (error as Error).message })
  }
}

/** Whether SQLite says that the file holds what it never wrote. */
export function isDamage(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB')
}

/** The file leaves a mark beside itself, so that the next start does not trust it. */
export function markDamaged(file: string): void {
  closeSync(openSync(`${file}.damaged`, 'w', 0o600))
}

/** Whether a stored session is subscribed to something below this topic, by itself or in a group. */
export function waitsFor({ sqlite }: Pick<SessionFile, 'sqlite'>, topic: string): boolean {
  const found = sqlite.prepare('SELECT 1 FROM subscriptions WHERE instr(filter, ?) > 0 LIMIT 1')
  return found.get(`${topic}/`) !== undefined
}

function setAside(file: string, now: number): string {
  const aside = `${file}.damaged-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}`
  for (const part of ['', '-wal', '-shm', '.damaged'])
    if (existsSync(file + part)) renameSync(file + part, aside + part)
  return aside
}

function openedInMemory(): SessionFile {
  const sqlite = new Sqlite(':memory:')
  const brokerId = prepared(sqlite)
  return {
    sqlite,
    brokerId,
    setAside: null,
    sync: async () => NONE_REFUSED,
    close: () => void sqlite.close(),
  }
}

function opened(file: string, aside: SessionFile['setAside']): SessionFile {
  if (existsSync(`${file}.damaged`))
    throw Object.assign(new Error('it was found damaged while in use'), { code: 'SQLITE_CORRUPT' })
  let sqlite: Database | null = null
  try {
    sqlite = new Sqlite(file)
    chmodSync(file, 0o600)
    // One process owns the file: the log's index then lives in memory, where a full disk cannot break it.
    sqlite.pragma('locking_mode = EXCLUSIVE')
    sqlite.pragma('journal_mode = WAL')
    // Each commit is in the log when it returns, and on disk once `sync` says so: together what FULL promises, without
    // holding up the event loop for the disk.
    sqlite.pragma('synchronous = NORMAL')
    sqlite.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
    sqlite.pragma(`journal_size_limit = ${CHECKPOINT_PAGES * 4_096}`)
    const brokerId = prepared(sqlite)
    return withSync(file, sqlite, brokerId, aside)
  } catch (error) {
    sqlite?.close()
    throw error
  }
}

function withSync(
  file: string,
  sqlite: Database,
  brokerId: string,
  aside: SessionFile['setAside'],
): SessionFile {
  // The log exists once something was committed, and stays the same file while this one is open.
  let log: number | null = null
  return {
    sqlite,
    brokerId,
    setAside: aside,
    sync: () =>
      new Promise((resolve, reject) => {
        log ??= openSync(`${file}-wal`, 'r+')
        fdatasync(log, error => (error ? reject(error) : resolve(NONE_REFUSED)))
      }),
    close() {
      sqlite.close()
      if (log !== null) closeSync(log)
    },
  }
}

/** Makes the tables where there are none, and brings older ones up to this version; gives the broker's ID. */
function prepared(sqlite: Database): string {
  sqlite.pragma('foreign_keys = ON')
  const version = sqlite.pragma('user_version', { simple: true }) as number
  if (version > VERSION)
    throw new Error(
      `the session store is of version ${version}, this broker knows ${VERSION}: run a newer one, or move it`,
    )
  if (version < VERSION)
    sqlite.transaction(() => {
      if (version === 0) {
        sqlite.exec(SCHEMA)
        sqlite.prepare('INSERT INTO broker (id) VALUES (?)').run(randomUUID())
      }
      if (version < 2) sqlite.exec(TO_VERSION_2)
      if (version < 3) sqlite.exec(TO_VERSION_3)
      sqlite.exec(TO_VERSION_4)
      sqlite.pragma(`user_version = ${VERSION}`)
    })()
  return (sqlite.prepare('SELECT id FROM broker').get() as { id: string }).id
}
