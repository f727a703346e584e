// What policies come to for a device, today and under a draft: effective statements, simulation, and a trial on the fleet.
// Reads the record and asks `policy/`; changes nothing.
import { setImmediate as turn } from 'node:timers/promises'
import type { PolicyHolder, PolicyReader } from '../../db/policies/policy-reader.ts'
import type { Attachment } from '../../db/policies/policy-store.ts'
import { type BoundStatement, bindStatements, refusingAll, variablesOf } from '../../policy/binding.ts'
import { lossesBetween } from '../../policy/comparison.ts'
import type { PolicyDocument } from '../../policy/document.ts'
import { explainRight, type Question } from '../../policy/explanation.ts'
import { noRights, rightsOf } from '../../policy/rights.ts'
import type { TrialResult } from './policy-schemas.ts'

/** A change as it would be: the document, what it is attached to, or both. */
export type Draft = { name: string; document: PolicyDocument | null; attachments?: readonly Attachment[] }

export type PolicyDesk = ReturnType<typeof createPolicyDesk>

/** After so many devices others are served. */
const DEVICES_AT_ONCE = 100

export function createPolicyDesk(reader: PolicyReader) {
  /** The record at one moment, for as long as one question takes. */
  function snapshot() {
    const documents = new Map(
      [...reader.documents()].map(([name, text]) => [name, JSON.parse(text) as PolicyDocument]),
    )
    return { documents, attached: reader.attached() }
  }
  type Snapshot = ReturnType<typeof snapshot>

  function through(
    { attached }: Pick<Snapshot, 'attached'>,
    holder: PolicyHolder,
  ): Map<string, Attachment[]> {
    const found = new Map<string, Attachment[]>()
    for (const attachment of attachmentsOf(holder)) {
      for (const name of attached.get(`${attachment.kind} ${attachment.target}`) ?? [])
        found.set(name, [...(found.get(name) ?? []), attachment])
    }
    return found
  }

  function bind(documents: Snapshot['documents'], names: Iterable<string>, holder: PolicyHolder) {
    const policies = [...names].flatMap(name => documents.get(name) ?? [])
    return bindStatements(policies, valuesOf(holder))
  }

  return {
    effective(holder: PolicyHolder) {
      const now = snapshot()
      const held = through(now, holder)
      const statements = bind(now.documents, held.keys(), holder)
      const refusal = refusingAll(statements)
      return {
        deviceId: holder.deviceId,
        certificate: holder.certificate?.fingerprint ?? null,
        policies: [...held].map(([name, attachments]) => ({ name, through: attachments })),
        variables: Object.fromEntries(valuesOf(holder)),
        refused:
          refusal === null
            ? null
            : {
                policy: refusal.policy,
                statement: refusal.index,
                topic: refusal.topics.find(({ filter }) => filter === null)?.written ?? '',
              },
        statements: statements.map(({ index, topics, ...statement }) => ({
          ...statement,
          actions: [...statement.actions],
          statement: index,
          topics: topics.map(({ written, bound, missing }) => ({ written, bound, missing: [...missing] })),
        })),
      }
    },

    /** Judges the draft as if it held for the device, whether it is attached or not. */
    simulate(holder: PolicyHolder, draft: PolicyDocument, questions: readonly Question[]) {
      const now = snapshot()
      const names = new Set(through(now, holder).keys())
      const holds = names.has(draft.name)
      const before = bind(now.documents, names, holder)
      const after = bind(
        new Map(now.documents).set(draft.name, draft),
        new Set([...names, draft.name]),
        holder,
      )
      return {
        deviceId: holder.deviceId,
        certificate: holder.certificate?.fingerprint ?? null,
        holds,
        results: questions.map(question => ({
          ...question,
          now: explainRight(before, question),
          draft: explainRight(after, question),
        })),
      }
    },

    /** Who would lose or gain what, device by device. Lists at most `limit` devices, those that lose something first. */
    async trial(draft: Draft, limit: number): Promise<TrialResult> {
      const now = snapshot()
      const after: Snapshot = {
        documents:
          draft.document === null ? now.documents : new Map(now.documents).set(draft.name, draft.document),
        attached: draft.attachments ? reattached(now.attached, draft.name, draft.attachments) : now.attached,
      }
      const result: TrialResult = {
        devicesTotal: 0,
        devicesLosing: 0,
        devicesGaining: 0,
        subscriptionsNoted: 0,
        subscriptionsLost: 0,
        nodesTotal: reader.nodesTotal(),
        items: [],
        truncated: false,
      }
      const gainers: TrialResult['items'] = []
      let last = ''
      for (;;) {
        const ids = reader.deviceIds(last, DEVICES_AT_ONCE)
        for (const id of ids) {
          const item = judge(id)
          if (item === null) continue
          const losing = item.lost.length > 0 || item.subscriptionsLost.length > 0
          if (losing) result.devicesLosing += 1
          if (item.gained.length > 0) result.devicesGaining += 1
          const list = losing ? result.items : item.gained.length > 0 ? gainers : null
          if (list !== null && list.length < limit) list.push(item)
        }
        if (ids.length < DEVICES_AT_ONCE) break
        last = ids.at(-1) ?? ''
        await turn()
      }
      result.truncated = result.devicesLosing > result.items.length
      result.items.push(...gainers.slice(0, limit - result.items.length))
      return result

      function judge(deviceId: string): TrialResult['items'][number] | null {
        const holder = reader.holder(deviceId)
        if (holder === null) return null
        const [had, has] = [through(now, holder), through(after, holder)]
        if (!had.has(draft.name) && !has.has(draft.name)) return null
        result.devicesTotal += 1
        const before = bind(now.documents, had.keys(), holder)
        const then = bind(after.documents, has.keys(), holder)
        const noted = reader.subscriptions(deviceId)
        const lost = noted.flatMap(({ fingerprint, filters }) => {
          // A live session keeps the certificate it came with; a newer one may be on the roll by now.
          const same = fingerprint === holder.certificate?.fingerprint
          const theirs = same ? holder : (reader.holder(deviceId, fingerprint) ?? holder)
          const rights = rightsOfStatements(
            same ? then : bind(after.documents, through(after, theirs).keys(), theirs),
          )
          return filters.filter(filter => !rights.subscribe(filter))
        })
        result.subscriptionsNoted += noted.reduce((sum, { filters }) => sum + filters.length, 0)
        result.subscriptionsLost += lost.length
        return {
          deviceId,
          lost: lossesBetween(before, then),
          gained: lossesBetween(then, before),
          connected: noted.length > 0,
          subscriptionsLost: lost,
          subscriptionsComplete: noted.every(({ complete }) => complete),
        }
      }
    },
  }
}

function rightsOfStatements(statements: readonly BoundStatement[]) {
  return rightsOf(statements) ?? noRights
}

function attachmentsOf({ deviceId, groups, certificate }: PolicyHolder): Attachment[] {
  return [
    { kind: 'everyone', target: '' },
    { kind: 'device', target: deviceId },
    ...groups.map((target): Attachment => ({ kind: 'group', target })),
    ...(certificate?.issuerId ? [{ kind: 'issuer' as const, target: certificate.issuerId }] : []),
  ]
}

function valuesOf({ deviceId, attributes, certificate }: PolicyHolder): Map<string, string> {
  const { issuerId = null, serialNumber = '' } = certificate ?? {}
  return variablesOf({ deviceId, issuerId, serialNumber }, attributes)
}

/** The attachments of all policies with those of one replaced. */
function reattached(
  attached: ReadonlyMap<string, string[]>,
  name: string,
  attachments: readonly Attachment[],
): Map<string, string[]> {
  const changed = new Map([...attached].map(([key, names]) => [key, names.filter(other => other !== name)]))
  for (const { kind, target } of attachments) {
    const key = `${kind} ${target}`
    changed.set(key, [...(changed.get(key) ?? []), name])
  }
  return changed
}
