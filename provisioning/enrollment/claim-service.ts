// Claim certificates: made for a batch, they may only enroll. Signed like a device's, but never listed: no broker and no
// operator's route knows them. What will be signed is on record before the key signs.

import type { Actor } from '../../db/audit/audit.ts'
import type { ClaimStore } from '../../db/enrollment/claims.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import { CLAIM_URN, claimProfile, randomSerialNumber, validityOf } from '../ca/profile.ts'
import { readCsr } from '../x509/csr.ts'
import type { Refused } from './issuance-checks.ts'
import { assertAsIntended, inability, unfitKey } from './issuance-checks.ts'

type ClaimOrder = {
  name: string
  group: string | null
  quota: number
  allowlist: string[] | null
  approval: boolean
  days: number
  csr: string
}

export type ClaimService = {
  /** Gives the ID of the claim. */
  create(order: ClaimOrder, actor: Actor): Promise<string | Refused>
}

export function createClaimService(parts: {
  ca: () => IssuingCa
  writer: Pick<ClaimStore, 'intendClaim' | 'keepClaim'>
  issuers: () => Map<string, Issuer>
  pq: PqMode
  now: () => number
}): ClaimService {
  const { writer, issuers, now } = parts
  return {
    async create({ csr, days, ...terms }, actor) {
      const ca = parts.ca()
      const unable = inability(ca, issuers(), now())
      if (unable !== null) return unable
      const reading = await readCsr(csr)
      if (!reading.accepted) return { refused: reading.reason, faults: reading.faults }
      const unfit = unfitKey(reading.key, parts.pq)
      if (unfit !== null) return unfit
      const validity = validityOf(days, now(), ca.notAfter)
      const { spki, spkiHash } = reading.key
      const intent = { ...terms, ...validity, spkiHash, issuerId: ca.id, serialNumber: randomSerialNumber() }
      const id = await writer.intendClaim(intent, actor)
      const { serialNumber } = intent
      const der = await ca.sign({ profile: claimProfile(terms.name), spki, serialNumber, validity })
      const names = { commonName: `claim:${terms.name}`, uri: `${CLAIM_URN}${terms.name}` }
      assertAsIntended(der, intent, names, ca)
      await writer.keepClaim(id, der, actor)
      return id
    },
  }
}
