// Revocation (RFC 8555 §7.6): by the account that obtained the certificate, or by the certificate's own key; and of no other certificate.
import type { Actor } from '../../db/audit/audit.ts'
import type { RegistryWriter } from '../../db/index.ts'
import type { Certificate, RollReader } from '../../db/roll/roll-reader.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { ownRevocationReasons } from '../enrollment/own-revocation-reasons.ts'
import type { Log } from '../logging/log.ts'
import { actorOf } from './accounts.ts'
import type { ByAccount, ByKey } from './acme-authentication.ts'
import { acmeFault } from './acme-problems.ts'
import type { OrderService } from './order-service.ts'

type Parts = {
  writer: Pick<RegistryWriter, 'revokeCertificate'>
  roll: Pick<RollReader, 'certificate'>
  orders: Pick<OrderService, 'isObtainedBy'>
  log: Log
}

export function createCertificateRevocation({ writer, roll, orders, log }: Parts) {
  return async (caller: ByAccount | ByKey, requestId: string): Promise<void> => {
    const { certificate: text, reason: code = 0 } = caller.payload ?? {}
    if (typeof text !== 'string' || !/^[A-Za-z0-9_-]+$/.test(text))
      throw acmeFault('acme_malformed', 'payload: certificate is no DER in base64url')
    const certificate = await roll.certificate(fingerprintOf(Buffer.from(text, 'base64url')))
    const mayRevoke = certificate !== null && isOf(caller, certificate)
    // Others are not told whether there is such a certificate.
    if (!mayRevoke) throw acmeFault('acme_unauthorized', 'no certificate of this account or key')
    const reason = typeof code === 'number' ? ownRevocationReasons[code] : undefined
    if (reason === undefined) throw acmeFault('acme_reason_refused', `reason ${String(code).slice(0, 20)}`)
    const { status, fingerprint, deviceId } = certificate
    if (status === 'revoked') throw acmeFault('acme_certificate_revoked', 'it is revoked')
    const actor: Actor =
      'account' in caller
        ? actorOf(caller.account, requestId)
        : { name: `device:${deviceId}`, kind: 'device', requestId }
    await writer.revokeCertificate(fingerprint, reason, actor)
    log.certificateRevoked({ requestId, actor: actor.name }, fingerprint, reason, 0)
  }

  function isOf(caller: ByAccount | ByKey, { fingerprint, spkiHash }: Certificate): boolean {
    return 'account' in caller
      ? orders.isObtainedBy(caller.account, fingerprint)
      : caller.key.spkiHash === spkiHash
  }
}
