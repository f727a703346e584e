// The rights of a session: its device's policies looked up, compiled once per document, bound to its identity.
// What cannot be parsed or bound yields no rights; what cannot be read is told apart, for it may be read again.
import type { PolicySubject, StoredPolicy } from '../../db/policies/policy-store.ts'
import type { DeniedAction } from '../../db/roll/denials.ts'
import { bindStatements, type Principal, variablesOf } from '../../policy/binding.ts'
import { type PolicyDocument, parsePolicy } from '../../policy/document.ts'
import { type Decision, explainRight } from '../../policy/explanation.ts'
import { bindRights, noRights, type QoS, type Rights } from '../../policy/rights.ts'

export type { Principal } from '../../policy/binding.ts'
/** What a device may do, and whether it is a backend, which may do more of it than a device. */
export type DeviceRights = Rights & { isBackend?: boolean }
export type RightsResolver = (principal: Principal) => DeviceRights

/** Where a deny names a value that the device lacks or that is unsafe: nobody can say what is denied, so refuse all. */
export const unboundRights: Rights = { ...noRights }

/** Where the policies could not be read: no new connection gets in with them, and a live session keeps what was bound before. */
export const unreadRights: Rights = { ...noRights }

const DOCUMENTS_REMEMBERED_MAX = 1_000

/** What a device asked for in vain. `topic` is a filter for `subscribe`. */
export type DeniedQuestion = { action: DeniedAction; topic: string; qos: QoS; retain: boolean }
/** Why, by the policies as they are; null where nobody can tell. */
export type ExplainDenial = (principal: Principal, question: DeniedQuestion) => Decision | null

/** Why the policies do not allow something; null where they cannot be read or are not as they must be. */
export function createDenialExplainer(
  policiesOf: (deviceId: string, issuerId: string | null, serialNumber: string) => PolicySubject,
): ExplainDenial {
  return (principal, question) => {
    try {
      const { deviceId, issuerId, serialNumber } = principal
      const { policies, attributes, attested } = policiesOf(deviceId, issuerId, serialNumber)
      const documents = policies.map(({ document }) => parsePolicy(JSON.parse(document)))
      const parsed = documents.flatMap(outcome => ('policy' in outcome ? [outcome.policy] : []))
      if (parsed.length < documents.length) return null
      return explainRight(bindStatements(parsed, variablesOf(principal, attributes, attested)), question)
    } catch {
      return null
    }
  }
}

export function createRightsResolver(parts: {
  /** A device that holds a policy of these names is a backend; none if it is absent. */
  backendPolicies?: ReadonlySet<string>
  policiesOf(deviceId: string, issuerId: string | null, serialNumber: string): PolicySubject
  onDoubt(error: unknown): void
}): RightsResolver {
  const parsed = new Map<string, PolicyDocument>()

  function parse(stored: StoredPolicy): PolicyDocument {
    const known = parsed.get(stored.document)
    if (known !== undefined) return known
    const outcome = parsePolicy(JSON.parse(stored.document))
    if ('faults' in outcome)
      throw new Error(`policy ${stored.name}: ${outcome.faults[0]?.path} is not as it must be`)
    if (parsed.size >= DOCUMENTS_REMEMBERED_MAX) parsed.clear()
    parsed.set(stored.document, outcome.policy)
    return outcome.policy
  }

  return principal => {
    let subject: PolicySubject
    try {
      subject = parts.policiesOf(principal.deviceId, principal.issuerId, principal.serialNumber)
    } catch (error) {
      parts.onDoubt(error)
      return unreadRights
    }
    try {
      const { attributes, attested } = subject
      const values = variablesOf(principal, attributes, attested)
      const rights = bindRights(subject.policies.map(parse), values)
      if (rights === null) return unboundRights
      const isBackend = subject.policies.some(({ name }) => parts.backendPolicies?.has(name))
      return isBackend ? Object.assign(rights, { isBackend }) : rights
    } catch (error) {
      parts.onDoubt(error)
      return noRights
    }
  }
}
