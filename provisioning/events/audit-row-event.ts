// Which rows of the audit log become events, and with which facts. Pure. The actor stays in the audit log: an event may be shown
// to a caller that may not read that log.
import type { ActorKind } from '../../db/audit-chain.ts'
import type { NewEvent } from '../../db/events/event-rows.ts'

/** An audit row, as far as it matters here. */
type Happened = {
  at: number
  actor: string
  actorKind: ActorKind | null
  action: string
  target: string
  reason: string | null
  detail: Readonly<Record<string, unknown>>
}
/** What a certificate that was listed is: the first of its device, one that follows another, one that waits for approval. */
type Listed = 'first' | 'renewal' | 'pending'

const ofCertificate = {
  'certificate.suspend': 'suspended',
  'certificate.activate': 'activated',
  'certificate.revoke': 'revoked',
  'certificate.approve': 'enrolled',
  'certificate.nonconforming': 'nonconforming',
} as const
const ofDevice = {
  'device.suspend': 'suspended',
  'device.activate': 'activated',
  'device.decommission': 'decommissioned',
} as const
const ofNode = { 'node.drain': 'node_draining', 'node.resume': 'node_resumed' } as const
const listedAs = { first: 'enrolled', renewal: 'renewed', pending: 'waiting' } as const

/** Null for a row that becomes no event. The broker writes the event of a first connection. */
export function eventOfAuditRow(row: Happened, listed: (fingerprint: string) => Listed): NewEvent | null {
  const { at, action, target, reason } = row
  if (action === 'certificate.issue' || action === 'certificate.register') {
    const { serialNumber, trust } = row.detail
    return { ...certificate(row), kind: listedAs[listed(target)], detail: { serialNumber, trust } }
  }
  if (action === 'certificate.rekey') {
    return {
      ...certificate(row),
      kind: 'rekeyed_early',
      detail: { authenticatedBy: row.detail['authenticatedBy'] },
    }
  }
  if (action === 'tpm.clone') {
    const { addresses } = row.detail
    return { at, kind: 'cloned', deviceId: target, reason, detail: { how: 'endorsement_key', addresses } }
  }
  if (isOfBroker(row) && action.endsWith('.activate')) return null
  if (Object.hasOwn(ofCertificate, action)) {
    const kind = ofCertificate[action as keyof typeof ofCertificate]
    return { ...certificate(row), kind, detail: { of: 'certificate' } }
  }
  if (Object.hasOwn(ofDevice, action)) {
    const kind = ofDevice[action as keyof typeof ofDevice]
    return { at, kind, deviceId: target, reason, detail: { of: 'device' } }
  }
  if (Object.hasOwn(ofNode, action))
    return { at, kind: ofNode[action as keyof typeof ofNode], detail: { ...row.detail, name: target } }
  if (action === 'webhook.disable')
    return { at, kind: 'webhook_disabled', reason, detail: { webhook: target } }
  return null
}

/** A row without a kind is of a version in which the name was all there is. */
function isOfBroker({ actor, actorKind }: Happened): boolean {
  return actor === 'broker' && (actorKind === 'service' || actorKind === null)
}

function certificate({ at, target, reason, detail }: Happened) {
  return { at, deviceId: String(detail['deviceId'] ?? '') || null, fingerprint: target, reason }
}
