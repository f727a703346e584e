// The tables about keys: which were revoked for compromise, and which key obtained which certificate.

export type KeySchema = {
  compromised_keys: { spki_hash: string; declared_by: string; compromised_at: number }
  certificate_lineage: {
    fingerprint: string
    authenticated_by: string
    authenticated_key: string
    approved_at: number | null
  }
}
