// The table about ACME accounts.

export type AcmeSchema = {
  acme_accounts: {
    id: string
    spki: Buffer
    spki_hash: string
    token_id: string | null
    claim_id: string | null
    fingerprint: string | null
    created_at: number
    deactivated_at: number | null
  }
}
