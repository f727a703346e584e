// Which policies hold for a device: asked for every connection, so what devices have in common is read once for each change.
import { lastChangeSql } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import { prepareAttested } from '../roll/attestations.ts'
import type { PolicySubject, StoredPolicy } from './policy-store.ts'

export type PolicyLookup = (deviceId: string, issuerId: string | null, serialNumber?: string) => PolicySubject

/** `lastChange` names the last row of the change feed; `groups` and `own` are names, as a JSON array. */
type Holder = {
  lastChange: string | null
  attributes: string
  groups: string
  own: string
  attestations: 0 | 1
}

/** Lists of policies that are remembered: one for each combination of groups, issuer and attachments of a device's own. */
const LISTS_REMEMBERED_MAX = 1_000
const NOTHING = { list: '[]', map: '{}' }

// The ID of the row, and not the value that was asked for: SQLite with STAT4 plans anew for every bound value of a key that several
// rows share. For the same reason no outer join.
const holderStatement = (change: string) => `
SELECT (${change}) AS lastChange, d.attributes,
       (SELECT json_group_array(name) FROM device_groups WHERE device_id = d.id) AS groups,
       (SELECT json_group_array(policy_name) FROM policy_attachments WHERE kind = 'device' AND target = d.id) AS own,
       EXISTS (SELECT 1 FROM attestations WHERE device_id = d.id) AS attestations
FROM devices d
WHERE d.id = ?`

/**
 * Prepares the look-up of all policies that hold for a device with the certificate of this issuer and serial number. What is the device's
 * own is read every time. Policies and what they are attached to are read again once a change follows the one that they were read at:
 * each of their writers appends one in the same transaction. Where the change feed cannot be read, they are read every time: how long that may
 * last is decided elsewhere. All of an answer is of one state of the registry.
 */
export function preparePolicyLookup({ sqlite }: Registry): PolicyLookup {
  const isAttested = prepareAttested(sqlite)
  const select = sqlite.prepare<[string], Holder>(holderStatement(lastChangeSql))
  const selectAlone = sqlite.prepare<[string], Holder>(holderStatement('NULL'))
  const latest = sqlite.prepare<[], string>(lastChangeSql).pluck()
  const attached = sqlite
    .prepare<[string, string], string>(
      'SELECT policy_name FROM policy_attachments WHERE kind = ? AND target = ?',
    )
    .pluck()
  const policy = sqlite.prepare<[string], StoredPolicy>(
    'SELECT name, document, updated_at AS updatedAt FROM policies WHERE name = ?',
  )
  /** By groups, issuer and own attachments; all read at `readAt`. */
  const lists = new Map<string, readonly StoredPolicy[]>()
  let readAt: string | null = null

  const keyOf = ({ groups, own }: Holder, issuerId: string | null) => `${issuerId ?? ''} ${groups} ${own}`

  function listOf(holder: Holder, issuerId: string | null): readonly StoredPolicy[] {
    if (holder.lastChange !== readAt || lists.size >= LISTS_REMEMBERED_MAX) lists.clear()
    readAt = holder.lastChange
    const key = keyOf(holder, issuerId)
    const known = lists.get(key)
    if (known !== undefined) return known
    const names = new Set(attached.all('everyone', ''))
    for (const name of namesIn(holder.own)) names.add(name)
    for (const group of namesIn(holder.groups))
      for (const name of attached.all('group', group)) names.add(name)
    if (issuerId !== null) for (const name of attached.all('issuer', issuerId)) names.add(name)
    const list = [...names].map(name => policy.get(name)!)
    lists.set(key, list)
    return list
  }

  function subjectOf(
    { attributes }: Holder,
    deviceId: string,
    serialNumber: string,
    attested: boolean,
    policies: readonly StoredPolicy[],
  ): PolicySubject {
    const values = attributes === NOTHING.map ? {} : JSON.parse(attributes)
    return { deviceId, serialNumber, attested, attributes: values, policies }
  }

  function readFor(holder: Holder, deviceId: string, issuerId: string | null, serialNumber: string) {
    const attested = holder.attestations === 1 && isAttested(deviceId, serialNumber)
    return subjectOf(holder, deviceId, serialNumber, attested, listOf(holder, issuerId))
  }

  const readAll = sqlite.transaction((deviceId: string, issuerId: string | null, serialNumber: string) =>
    readFor(select.get(deviceId) ?? nobody(latest.get() ?? null), deviceId, issuerId, serialNumber),
  )
  const readWithoutFeed = sqlite.transaction(
    (deviceId: string, issuerId: string | null, serialNumber: string) => {
      lists.clear()
      return readFor(selectAlone.get(deviceId) ?? nobody(null), deviceId, issuerId, serialNumber)
    },
  )

  return (deviceId, issuerId, serialNumber = '') => {
    let holder: Holder | undefined
    try {
      // One statement is one state; a transaction around it would cost as much again.
      holder = select.get(deviceId)
    } catch {
      return readWithoutFeed(deviceId, issuerId, serialNumber)
    }
    if (holder === undefined || holder.lastChange !== readAt || holder.attestations === 1)
      return readAll(deviceId, issuerId, serialNumber)
    const known = lists.get(keyOf(holder, issuerId))
    if (known === undefined) return readAll(deviceId, issuerId, serialNumber)
    return subjectOf(holder, deviceId, serialNumber, false, known)
  }
}

function namesIn(list: string): string[] {
  return list === NOTHING.list ? [] : JSON.parse(list)
}

/** Of a device that is not on record. */
function nobody(lastChange: string | null): Holder {
  return { lastChange, attributes: NOTHING.map, groups: NOTHING.list, own: NOTHING.list, attestations: 0 }
}
