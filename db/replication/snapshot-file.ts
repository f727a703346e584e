// A snapshot of the registry in a file: one line of JSON that is signed, then a replica as a broker has it, as SQLite keeps it. Nothing of it is
// given to SQLite before signature, key, age, schema and hash are right. Holds no private key, no hash of a token and no secret.
import { createHash, type KeyObject, sign, verify } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  createWriteStream,
  openSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs'
import { pipeline } from 'node:stream/promises'
import Sqlite from 'better-sqlite3'
import { parseInstant } from '../../pki/instant.ts'
import { type AuditKeys, keyIdOf } from '../audit/audit-checkpoint.ts'
import { canonicalJson, timeText } from '../audit-chain.ts'
import { schemaVersion } from '../migrate.ts'
import { fillReplica, syncFile } from './first-sync.ts'
import type { PostgresClient } from './postgres.ts'
import { openReplicaFile, type Position, removeReplica } from './replica-file.ts'
import { notOfBrokers } from './replicated-tables.ts'

/** `bytes` and `sha256` are of what follows the line; `takenAt` is in ms since the epoch; `keyId` is the SPKI hash of the key. */
export type SnapshotFacts = Position & {
  schema: number
  takenAt: number
  bytes: number
  sha256: string
  keyId: string
}
export type Snapshot = { file: string; facts: SnapshotFacts; offset: number }

/** Says what is wrong with a snapshot and what to do. */
export class SnapshotRefused extends Error {}

const FORMAT = 1
const LINE_BYTES_MAX = 4_096
/** In a replica, the snapshot that it was. */
const TAKEN_TABLE = 'taken_snapshot'
/** A clock that is wrong by more than this makes every age meaningless. */
const AHEAD_MAX_MS = 300_000
const anew = 'make a new one with rollcall registry snapshot'

/** Makes the file (0600), which must not be there. Throws where PostgreSQL holds no registry that fits. */
export async function writeSnapshot(
  client: PostgresClient,
  { out, key, now }: { out: string; key: KeyObject; now: () => number },
): Promise<SnapshotFacts> {
  const part = `${out}.part`
  const takenAt = now()
  try {
    const position = await fillReplica(client, part, notOfBrokers)
    if (position === null) throw new SnapshotRefused('PostgreSQL holds no registry yet')
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(part)) hash.update(chunk as Buffer)
    const facts = {
      ...{ ...position, schema: schemaVersion, takenAt, bytes: statSync(part).size },
      ...{ sha256: hash.digest('hex'), keyId: keyIdOf(key) },
    }
    const signature = sign(null, signedText(facts), key).toString('base64url')
    const target = createWriteStream(out, { flags: 'wx', mode: 0o600 })
    target.write(`${JSON.stringify({ ...contentOf(facts), signature })}\n`)
    await pipeline(createReadStream(part), target)
    syncFile(out)
    return facts
  } finally {
    removeReplica(part)
  }
}

/** Throws SnapshotRefused where it is not to be used. What follows its line is verified by `takeSnapshot`. */
export function openSnapshot(
  file: string,
  { keys, now, ageMaxMs }: { keys: AuditKeys; now: number; ageMaxMs: number },
): Snapshot {
  const line = firstLine(file)
  const { facts, signature } = read(file, line)
  const refuse = (what: string, remedy = anew) => new SnapshotRefused(`${file}: ${what}: ${remedy}`)
  const key = keys.get(facts.keyId)
  if (key === undefined)
    throw refuse(
      `signed by the key ${facts.keyId.slice(0, 16)}…, which audit.pub does not hold`,
      'copy audit.pub of the service that made it',
    )
  if (!verify(null, signedText(facts), key, Buffer.from(signature, 'base64url')))
    throw refuse('its signature is not right', 'copy it again')
  if (facts.schema !== schemaVersion)
    throw refuse(
      `of schema ${facts.schema}, this version reads ${schemaVersion}`,
      `${anew} of the version that runs here`,
    )
  if (facts.takenAt > now + AHEAD_MAX_MS)
    throw refuse(`made at ${timeText(facts.takenAt)}, which is yet to come`, 'set the clocks right')
  if (now - facts.takenAt > ageMaxMs)
    throw refuse(`made at ${timeText(facts.takenAt)}, which is longer ago than snapshotAgeMaxMs allows`)
  const offset = line.length + 1
  if (statSync(file).size !== offset + facts.bytes)
    throw refuse('not as long as it says: it was cut off', 'copy it again')
  return { file, facts, offset }
}

/** Puts it in the place of a replica, which nobody has open. Throws SnapshotRefused where it is not what was signed. */
export async function takeSnapshot({ file, facts, offset }: Snapshot, replica: string): Promise<void> {
  const made = `${replica}.first`
  removeReplica(made)
  try {
    const hash = createHash('sha256')
    await pipeline(
      createReadStream(file, { start: offset, end: offset + facts.bytes - 1 }),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk)
          yield chunk
        }
      },
      createWriteStream(made, { flags: 'wx', mode: 0o600 }),
    )
    if (hash.digest('hex') !== facts.sha256)
      throw new SnapshotRefused(`${file}: its content is not what was signed: copy it again`)
    if (!isSame(positionOf(made), facts.group) || positionOf(made)?.registryId !== facts.registryId)
      throw new SnapshotRefused(`${file}: holds another group than it says: ${anew}`)
    noteTaken(made, facts)
    removeReplica(replica)
    syncFile(made)
    renameSync(made, replica)
  } finally {
    removeReplica(made)
  }
}

/** Where a broker's replica stands; null where there is none that was in step. */
export function positionOf(replica: string): Position | null {
  const opened = openReplicaFile(replica, notOfBrokers)
  try {
    return opened.position()
  } finally {
    opened.close()
  }
}

/** When the snapshot was made that a replica still is; null where it is none, or has changed since. In ms since the epoch. */
export function takenAtOf(replica: string): number | null {
  const sqlite = new Sqlite(replica, { readonly: true })
  try {
    if (sqlite.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(TAKEN_TABLE) === undefined)
      return null
    const noted = sqlite
      .prepare<[], { takenAt: number } & Position['group']>(
        `SELECT taken_at AS takenAt, sequence, group_id AS id FROM ${TAKEN_TABLE}`,
      )
      .get()
    return noted !== undefined && isSame(positionOf(replica), noted) ? noted.takenAt : null
  } finally {
    sqlite.close()
  }
}

function noteTaken(replica: string, { takenAt, group }: SnapshotFacts): void {
  const sqlite = new Sqlite(replica)
  try {
    sqlite.exec(
      `CREATE TABLE ${TAKEN_TABLE} (taken_at INTEGER NOT NULL, sequence INTEGER NOT NULL, group_id TEXT) STRICT`,
    )
    sqlite
      .prepare(`INSERT INTO ${TAKEN_TABLE} (taken_at, sequence, group_id) VALUES (?, ?, ?)`)
      .run(takenAt, group.sequence, group.id)
    sqlite.pragma('wal_checkpoint(TRUNCATE)')
  } finally {
    sqlite.close()
  }
}

function isSame(one: Position | null, { sequence, id }: Position['group']): boolean {
  return one !== null && one.group.sequence === sequence && one.group.id === id
}

/** Without what follows it, and bounded. */
function firstLine(file: string): Buffer {
  const descriptor = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(LINE_BYTES_MAX)
    const read = readSync(descriptor, bytes, 0, LINE_BYTES_MAX, 0)
    const end = bytes.subarray(0, read).indexOf(0x0a)
    if (end === -1) throw new SnapshotRefused(`${file} is no snapshot of a registry`)
    return Buffer.from(bytes.subarray(0, end))
  } finally {
    closeSync(descriptor)
  }
}

function read(file: string, line: Buffer): { facts: SnapshotFacts; signature: string } {
  const content = parsed(line)
  const is = (name: string, pattern: RegExp) =>
    typeof content[name] === 'string' && pattern.test(content[name])
  const isNumber = (name: string, least: number) =>
    Number.isSafeInteger(content[name]) && (content[name] as number) >= least
  const takenAt = parseInstant(String(content['takenAt']))
  if (content['format'] !== FORMAT)
    throw new SnapshotRefused(`${file} is no snapshot of a registry that this version reads`)
  if (
    !is('registryId', /^[0-9a-f-]{36}$/) ||
    !(content['groupId'] === null || is('groupId', /^[0-9a-f-]{36}$/)) ||
    !['sequence', 'schema', 'bytes'].every(name => isNumber(name, 1)) ||
    !is('sha256', /^[0-9a-f]{64}$/) ||
    !is('keyId', /^[0-9a-f]{64}$/) ||
    !is('signature', /^[\w-]{86}$/) ||
    takenAt === null
  )
    throw new SnapshotRefused(`${file}: what it says of itself cannot be read: copy it again`)
  const { registryId, groupId, sequence, schema, bytes, sha256, keyId, signature } = content as {
    [name: string]: never
  }
  return {
    facts: {
      ...{ registryId: registryId!, group: { sequence: sequence!, id: groupId! }, schema: schema! },
      ...{ takenAt, bytes: bytes!, sha256: sha256!, keyId: keyId! },
    },
    signature: signature!,
  }
}

function parsed(line: Buffer): Record<string, unknown> {
  try {
    const content: unknown = JSON.parse(line.toString())
    return typeof content === 'object' && content !== null ? { ...content } : {}
  } catch {
    return {}
  }
}

function contentOf({ registryId, group, takenAt, ...facts }: SnapshotFacts): object {
  const { sequence, id: groupId } = group
  return { format: FORMAT, registryId, sequence, groupId, takenAt: timeText(takenAt), ...facts }
}

/** The name in front keeps a signature of this key from meaning anything elsewhere. */
function signedText(facts: SnapshotFacts): Buffer {
  return Buffer.from(`rollcall registry snapshot\n${canonicalJson(contentOf(facts))}`)
}
