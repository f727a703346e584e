// The verbs on policies.
import type {
  AttachmentReceipt,
  EffectivePolicy,
  Policy,
  PolicyAttachment,
  PolicyDocument,
  PolicyQuestion,
  PolicyReceipt,
  PolicySimulation,
  PolicySummary,
  PolicyTrial,
} from './policy-types.ts'
import type { Transport } from './transport.ts'

type Walk = <Item>(path: string, query: Record<string, number | undefined>) => AsyncGenerator<Item[], void>

export function policyVerbs(call: Transport['call'], walk: Walk) {
  const policy = (name: string) => `/v1/policies/${encodeURIComponent(name)}`
  const attachment = (name: string, { kind, target }: PolicyAttachment) =>
    kind === 'everyone'
      ? `${policy(name)}/attachments/everyone`
      : `${policy(name)}/attachments/${kind}/${encodeURIComponent(target)}`
  const expecting = (version: string | undefined) =>
    version === undefined ? {} : { 'If-Match': version === '*' ? '*' : `"${version}"` }

  return {
    pages: (filter: { limit?: number } = {}) => walk<PolicySummary>('/v1/policies', filter),
    show: (name: string) => call<Policy>('GET', policy(name)),
    /** Stores a document. Replacing one takes the version that is replaced, or `*` for any. */
    put: (document: PolicyDocument, version?: string) =>
      call<PolicyReceipt>('PUT', policy(document.name), document, expecting(version)),
    delete: (name: string, version?: string) =>
      call<PolicyReceipt>('DELETE', policy(name), undefined, expecting(version)),
    attachments: (name: string) => walk<PolicyAttachment>(`${policy(name)}/attachments`, {}),
    attach: (name: string, to: PolicyAttachment) => call<AttachmentReceipt>('PUT', attachment(name, to)),
    detach: (name: string, from: PolicyAttachment) =>
      call<AttachmentReceipt>('DELETE', attachment(name, from)),
    /** What the stored policy, or a draft of it, does to topics of one device. */
    simulate: (
      name: string,
      asked: {
        deviceId: string
        checks: PolicyQuestion[]
        document?: PolicyDocument
        certificate?: string
      },
    ) => call<PolicySimulation>('POST', `${policy(name)}/simulate`, asked),
    /** What each device would lose or gain under a draft, other attachments, or both. */
    simulateFleet: (
      name: string,
      tried: {
        document?: PolicyDocument
        attachments?: { kind: PolicyAttachment['kind']; target?: string }[]
        limit?: number
      },
    ) => call<PolicyTrial>('POST', `${policy(name)}/simulate/fleet`, tried),
    /** Every statement that binds a device, variables filled in. */
    effective: (deviceId: string) =>
      call<EffectivePolicy>('GET', `/v1/devices/${encodeURIComponent(deviceId)}/policy`),
  }
}
