// The table of certificates that renewed trust anchors had before.

export type IssuerSchema = {
  replaced_issuer_certificates: {
    fingerprint: string
    issuer_id: string
    der: Buffer
    not_before: number
    not_after: number
    replaced_at: number
  }
}
