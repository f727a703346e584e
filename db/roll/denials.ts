// Publishes, subscriptions and wills of devices that their policies denied, as brokers noted them: the last 20 of each device, each
// once, with how often. Shown to operators; nothing is decided by it.
import type { Database } from 'better-sqlite3'

export type DeniedAction = 'publish' | 'subscribe' | 'will'

/** The statement that decided, and its topic as written. */
export type DecidingStatement = { policy: string; statement: number; topic: string }

/** Times in ms since the epoch; `topic` is a filter for `subscribe`, cut to 1,024 characters. */
export type Denial = {
  action: DeniedAction
  topic: string
  qos: number
  retain: boolean
  /** One of `verdicts` of policies; null where that cannot be told. */
  verdict: string | null
  /** Null where no statement allows it. */
  decidedBy: DecidingStatement | null
  fingerprint: string
  address: string
  firstAt: number
  at: number
  count: number
}
/** `count` since the last note of the same. */
export type DenialNote = Omit<Denial, 'firstAt'> & { deviceId: string }

const KEPT_PER_DEVICE = 20
const KEPT = 50_000
export const DENIED_TOPIC_CHARACTERS_MAX = 1_024

/** Throws where the registry is locked or full, as all notes do. */
export function prepareDenialNotes(sqlite: Database): (notes: readonly DenialNote[]) => void {
  // What comes again moves to the end: numbers are in the order of the last time.
  const note = sqlite.prepare(
    `INSERT INTO denials (device_id, action, topic, qos, retain, verdict, decided_by, fingerprint, address, first_at, at, count)
     VALUES (@deviceId, @action, @topic, @qos, @retain, @verdict, @decidedBy, @fingerprint, @address, @at, @at, @count)
     ON CONFLICT (device_id, action, topic) DO UPDATE
       SET id = (SELECT max(id) + 1 FROM denials), qos = @qos, retain = @retain, verdict = @verdict, decided_by = @decidedBy,
         fingerprint = @fingerprint, address = @address, at = @at, count = count + @count`,
  )
  const trimOne = sqlite.prepare(
    `DELETE FROM denials WHERE device_id = @deviceId AND id <=
       (SELECT id FROM denials WHERE device_id = @deviceId ORDER BY id DESC LIMIT 1 OFFSET ${KEPT_PER_DEVICE})`,
  )
  const trimAll = sqlite.prepare(
    `DELETE FROM denials WHERE id <= (SELECT id FROM denials ORDER BY id DESC LIMIT 1 OFFSET ${KEPT})`,
  )
  return sqlite.transaction((notes: readonly DenialNote[]) => {
    for (const { decidedBy, retain, ...rest } of notes) {
      note.run({ ...rest, retain: retain ? 1 : 0, decidedBy: decidedBy && JSON.stringify(decidedBy) })
      trimOne.run({ deviceId: rest.deviceId })
    }
    trimAll.run()
  }).immediate
}

/** The newest first. */
export function prepareDenials(sqlite: Database): (deviceId: string) => Denial[] {
  const ofDevice = sqlite.prepare<
    [string],
    Omit<Denial, 'retain' | 'decidedBy'> & { retain: number; decidedBy: string | null }
  >(
    `SELECT action, topic, qos, retain, verdict, decided_by AS decidedBy, fingerprint, address, first_at AS firstAt, at, count
     FROM denials WHERE device_id = ? ORDER BY id DESC LIMIT ${KEPT_PER_DEVICE}`,
  )
  return deviceId =>
    ofDevice.all(deviceId).map(({ retain, decidedBy, ...row }) => ({
      ...row,
      retain: retain === 1,
      decidedBy: decidedBy === null ? null : (JSON.parse(decidedBy) as DecidingStatement),
    }))
}
