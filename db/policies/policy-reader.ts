// Reading policies as operators see them: documents with versions and attachments, and what a device is bound by.
// Knows nothing of what a document means.

import type { Registry } from '../open.ts'
import type { Page } from '../page.ts'
import { prepareAttested } from '../roll/attestations.ts'
import type { AttachmentKind, CertificateStatus } from '../schema.ts'
import { type Attachment, versionOf } from './policy-store.ts'

/** `attachments` are the first of `attachmentsTotal`. Times in ms since the epoch. */
export type Policy = {
  name: string
  document: string
  version: string
  updatedAt: number
  attachments: Attachment[]
  attachmentsTotal: number
}

/** The values of a policy's variables come from a device and the certificate it would connect with. */
export type PolicyHolder = {
  deviceId: string
  attributes: Record<string, string>
  groups: string[]
  certificate: {
    fingerprint: string
    serialNumber: string
    issuerId: string | null
    attested: boolean
  } | null
}

/** Subscriptions of a live session as its broker noted them; `complete` is false where it holds more. */
type NotedSubscriptions = { fingerprint: string; filters: string[]; complete: boolean }

export type PolicyReader = {
  policy(name: string): Policy | null
  policies(after: string | null, limit: number): Page<Policy>
  attachments(name: string, after: string | null, limit: number): Page<Attachment>
  /** Of one moment: every document by name, and the names of the policies attached, by `kind target`. */
  snapshot(): { documents: Map<string, string>; attached: Map<string, string[]> }
  /** Of one moment, with the given certificate, else with the newest that admits. Null where there is no such device. */
  holder(deviceId: string, fingerprint?: string): PolicyHolder | null
  /** In the order of their IDs, without the decommissioned. */
  deviceIds(after: string, limit: number): string[]
  subscriptions(deviceId: string): NotedSubscriptions[]
  nodesTotal(): number
}

const ATTACHMENTS_SHOWN_MAX = 100
/** Those that admit, as far as a status tells. */
const admitting: readonly CertificateStatus[] = ['active', 'issued', 'superseded']

export function createPolicyReader({ sqlite }: Registry): PolicyReader {
  const columns = 'name, document, updated_at AS updatedAt'
  type Row = { name: string; document: string; updatedAt: number }
  const one = sqlite.prepare<[string], Row>(`SELECT ${columns} FROM policies WHERE name = ?`)
  const many = sqlite.prepare<[string, number], Row>(
    `SELECT ${columns} FROM policies WHERE name > ? ORDER BY name LIMIT ?`,
  )
  const attachments = sqlite.prepare<[string, string, number], Attachment>(
    `SELECT kind, target FROM policy_attachments WHERE policy_name = ? AND kind || ' ' || target > ?
     ORDER BY kind, target LIMIT ?`,
  )
  const total = sqlite
    .prepare<[string], number>('SELECT count(*) FROM policy_attachments WHERE policy_name = ?')
    .pluck()
  const all = sqlite.prepare<[], { policy: string; kind: AttachmentKind; target: string }>(
    'SELECT policy_name AS policy, kind, target FROM policy_attachments',
  )
  const attributes = sqlite.prepare<[string], string>('SELECT attributes FROM devices WHERE id = ?').pluck()
  const groups = sqlite
    .prepare<[string], string>('SELECT name FROM device_groups WHERE device_id = ? ORDER BY name')
    .pluck()
  type Certificate = Omit<NonNullable<PolicyHolder['certificate']>, 'attested'>
  const isAttested = prepareAttested(sqlite)
  const facts = 'fingerprint, serial_number AS serialNumber, issuer_id AS issuerId'
  const named = sqlite.prepare<[string, string], Certificate>(
    `SELECT ${facts} FROM certificates WHERE device_id = ? AND fingerprint = ?`,
  )
  const newest = sqlite.prepare<[string], Certificate>(
    `SELECT ${facts} FROM certificates WHERE device_id = ?
       AND status IN (${admitting.map(status => `'${status}'`).join(', ')})
     ORDER BY issued_at DESC, fingerprint LIMIT 1`,
  )
  const ids = sqlite
    .prepare<[string, number], string>(
      "SELECT id FROM devices WHERE id > ? AND state != 'decommissioned' ORDER BY id LIMIT ?",
    )
    .pluck()
  // Rows of a broker that left without a word are nobody's any more.
  const noted = sqlite.prepare<[string], { fingerprint: string; filter: string }>(
    `SELECT fingerprint, filter FROM session_subscriptions
     WHERE device_id = ? AND node_id IN (SELECT id FROM nodes) ORDER BY fingerprint, filter`,
  )
  const nodes = sqlite.prepare<[], number>('SELECT count(*) FROM nodes').pluck()

  function complete(row: Row): Policy {
    return {
      ...row,
      version: versionOf(row.document),
      attachments: attachments.all(row.name, '', ATTACHMENTS_SHOWN_MAX),
      attachmentsTotal: total.get(row.name) ?? 0,
    }
  }

  return {
    policy(name) {
      const row = one.get(name)
      return row === undefined ? null : complete(row)
    },
    policies(after, limit) {
      const rows = many.all(after ?? '', limit + 1)
      const items = rows.slice(0, limit).map(complete)
      return { items, next: rows.length > limit ? (items.at(-1)?.name ?? null) : null }
    },
    attachments(name, after, limit) {
      const rows = attachments.all(name, after ?? '', limit + 1)
      const items = rows.slice(0, limit)
      const last = items.at(-1)
      return { items, next: rows.length > limit && last ? `${last.kind} ${last.target}` : null }
    },
    snapshot: sqlite.transaction(() => {
      const documents = new Map(
        many.all('', -1).map(({ name, document }): [string, string] => [name, document]),
      )
      const attached = new Map<string, string[]>()
      for (const { policy, kind, target } of all.all()) {
        const key = `${kind} ${target}`
        attached.set(key, [...(attached.get(key) ?? []), policy])
      }
      return { documents, attached }
    }),
    holder: sqlite.transaction((deviceId: string, fingerprint?: string) => {
      const given = attributes.get(deviceId)
      if (given === undefined) return null
      const certificate = fingerprint === undefined ? newest.get(deviceId) : named.get(deviceId, fingerprint)
      return {
        deviceId,
        attributes: JSON.parse(given),
        groups: groups.all(deviceId),
        certificate: certificate
          ? { ...certificate, attested: isAttested(deviceId, certificate.serialNumber) }
          : null,
      }
    }),
    deviceIds: (after, limit) => ids.all(after, limit),
    subscriptions(deviceId) {
      const found = new Map<string, NotedSubscriptions>()
      for (const { fingerprint, filter } of noted.all(deviceId)) {
        const session = found.get(fingerprint) ?? { fingerprint, filters: [], complete: true }
        if (filter === '') session.complete = false
        else session.filters.push(filter)
        found.set(fingerprint, session)
      }
      return [...found.values()]
    },
    nodesTotal: () => nodes.get() ?? 0,
  }
}
