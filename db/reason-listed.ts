// Why a certificate that is on the roll may not enter: a part of the one list in `reason.ts`.

export const listedReasons = {
  certificate_pending: {
    seen: 5,
    title: 'The certificate waits for approval',
    hint: 'Approve the enrollment.',
  },
  certificate_rejected: {
    seen: 5,
    title: 'The enrollment was rejected',
    hint: 'Enroll the device again if it was rejected by mistake.',
  },
  certificate_suspended: {
    seen: 5,
    title: 'The certificate is suspended',
    hint: 'Lift the suspension, or issue a new certificate.',
  },
  certificate_superseded: {
    seen: 5,
    title: 'The certificate was superseded and its grace has ended',
    hint: 'Let the device use the newer certificate it was issued.',
  },
  certificate_retired: {
    seen: 5,
    title: 'The certificate is retired',
    hint: 'Let the device use its current certificate.',
  },
  certificate_lapsed: {
    seen: 5,
    title: 'The certificate lapsed unused',
    hint: 'Issue a new certificate: rollcall device enroll.',
  },
  certificate_revoked: {
    seen: 5,
    title: 'The certificate is revoked',
    hint: 'Revocation is final. If the device is trusted again, issue a new certificate with a new key.',
  },
  certificate_revoked_by_issuer: {
    seen: 5,
    title: 'The CRL of its issuer revokes the certificate',
    hint: 'Give the device a new certificate. rollcall issuer crl status shows the CRL in force.',
  },
  certificate_expired: {
    seen: 5,
    title: 'The certificate has expired',
    hint: 'Issue a new certificate: rollcall device enroll. Check the clock of this machine.',
  },
  certificate_not_yet_valid: {
    seen: 5,
    title: 'The certificate is not valid yet',
    hint: 'Check the clock of this machine; five minutes of skew are allowed.',
  },
  certificate_usage_forbidden: {
    seen: 5,
    title: 'The extended key usage does not permit clientAuth',
    hint: 'Issue a certificate whose extended key usage contains clientAuth.',
  },
  certificate_is_ca: {
    seen: 5,
    title: 'The certificate is a CA certificate',
    hint: 'A device presents an end-entity certificate. Issue one.',
  },
  certificate_unreadable: {
    seen: 5,
    title: 'Something in the certificate cannot be read',
    hint: 'Issue a certificate whose dates, names and extensions are as RFC 5280 has them.',
  },
  certificate_extension_unknown: {
    seen: 5,
    title: 'A critical extension of the certificate is not understood',
    hint: 'Issue a certificate without it, or with the extension not critical (RFC 5280 §4.2).',
  },
  certificate_key_usage_forbidden: {
    seen: 5,
    title: 'The key usage does not contain digitalSignature',
    hint: 'Issue a certificate whose key usage contains digitalSignature, which TLS asks for.',
  },
  certificate_signature_weak: {
    seen: 5,
    title: 'The certificate is signed with MD5 or SHA-1',
    hint: 'Issue a certificate that is signed with SHA-256.',
  },
  key_unacceptable: {
    seen: 5,
    title: 'The key is too weak or of a kind we do not accept',
    hint: 'Use P-256, P-384, Ed25519, RSA of at least 2048 bits, or ML-DSA where the setting pq is not off.',
  },
  chain_unverified: {
    seen: 5,
    title: 'The chain does not verify to the issuer on record',
    hint: 'The registry and the certificate disagree. Run rollcall explain on the certificate and check the issuers.',
  },
  issuer_disabled: {
    seen: 5,
    title: 'The issuer of the certificate is disabled',
    hint: 'Issue the device a certificate of an enabled issuer, or enable the issuer again.',
  },
  issuer_revoked: {
    seen: 5,
    title: 'The issuer of the certificate is revoked by the CA above it',
    hint: 'Enroll the device under another issuer. rollcall issuer crl status shows the CRL in force.',
  },
  issuer_constrained: {
    seen: 5,
    title: 'The issuer of the certificate may only sign for some names',
    hint: 'Name constraints are not enforced here. Register a CA without them, and issue the device a certificate of it.',
  },
  issuer_path_exceeded: {
    seen: 5,
    title: 'A CA above permits no such CA below it',
    hint: 'The path length of a CA is exceeded. Register the CAs as their owner meant them, and enroll the device again.',
  },
  issuer_expired: {
    seen: 5,
    title: 'The issuer of the certificate has expired',
    hint: 'Rotate the issuing CA and enroll the device again.',
  },
  device_suspended: {
    seen: 5,
    title: 'The device is suspended',
    hint: 'rollcall device activate lets it back in.',
  },
  device_decommissioned: {
    seen: 5,
    title: 'The device is decommissioned',
    hint: 'Decommissioning is final. Register a new device.',
  },
} as const
