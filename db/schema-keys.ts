// The tables about keys: which were revoked for compromise, which key obtained which certificate, and IDevIDs.

export type KeySchema = {
  idevids: {
    fingerprint: string
    issuer_id: string
    device_id: string
    enrolled_at: number
    serial_number: string | null
  }
  compromised_keys: { spki_hash: string; declared_by: string; compromised_at: number }
  retired_keys: { spki_hash: string; device_id: string; retired_at: number }
  certificate_lineage: {
    fingerprint: string
    authenticated_by: string
    authenticated_key: string
    approved_at: number | null
  }
}
