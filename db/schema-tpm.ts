// The tables about TPMs.
import type { Generated } from 'kysely'

/** What the trust in an endorsement key stands on, the best first; `nobody`: each certificate waits for an operator. */
export type Voucher = 'operator' | 'maker' | 'token' | 'nobody'

export type TpmSchema = {
  tpm_anchors: {
    issuer_id: string
    mode: 'off' | 'pending' | 'active'
    group_name: string | null
    devices_max: number
    devices: Generated<number>
  }
  endorsement_keys: {
    ek_hash: string
    device_id: string
    vouched_by: Voucher
    issuer_id: string | null
    maker: string | null
    model: string | null
    version: string | null
    recorded_at: number
  }
  attestations: {
    fingerprint: string
    device_id: string
    serial_number: string
    ek_hash: string
    key_name: string
    key_attributes: number
    proven_at: number
  }
}
