// How the TPM of a device looks on the wire: its endorsement key, what vouches for it, and the certificates whose keys it proved.
import type { EndorsementKey } from '../../db/enrollment/endorsement-keys.ts'
import type { ShownAttestation } from '../../db/roll/attestations.ts'
import { time } from '../http/api.ts'
import { attributeNames } from './key-rules.ts'

/** `attestations`: the newest first, at most so many. */
export type TpmReader = {
  endorsementKeyOf: (deviceId: string) => EndorsementKey | null
  attestations: (deviceId: string, limit: number) => ShownAttestation[]
}

const ATTESTATIONS_SHOWN = 20

export function toTpmResponse({ endorsementKeyOf, attestations }: TpmReader, deviceId: string) {
  const key = endorsementKeyOf(deviceId)
  return {
    deviceId,
    endorsementKey:
      key === null
        ? null
        : {
            sha256: key.hash,
            vouchedBy: key.vouchedBy,
            issuerId: key.issuerId,
            maker: key.maker,
            model: key.model,
            version: key.version,
            recordedAt: time(key.recordedAt),
          },
    attestations: attestations(deviceId, ATTESTATIONS_SHOWN).map(({ keyAttributes, provenAt, ...shown }) => ({
      ...shown,
      keyAttributes: attributeNames(keyAttributes) as string[],
      provenAt: time(provenAt),
    })),
  }
}

/** What a TPM proved of one certificate, and what vouches for that TPM; null where none proved anything. */
export function attestationOf(tpms: TpmReader, deviceId: string, fingerprint: string) {
  const shown = toTpmResponse(tpms, deviceId)
  const found = shown.attestations.find(one => one.fingerprint === fingerprint)
  if (found === undefined) return null
  const { attested, endorsementKey, keyAttributes, provenAt } = found
  const key = shown.endorsementKey?.sha256 === endorsementKey ? shown.endorsementKey : null
  const { vouchedBy = null, maker = null, model = null, version = null } = key ?? {}
  return { attested, endorsementKey, vouchedBy, maker, model, version, keyAttributes, provenAt }
}
