// Problems of CSRs and of certificates that another CA issued, and what each becomes on the wire.

export const x509Problems = {
  csr_invalid: {
    status: 400,
    title: 'The certification request cannot be used',
    hint: 'openssl req -new -key device.key -subj "/CN=device" makes one.',
  },
  key_unacceptable: {
    status: 400,
    title: 'The key is too weak or of a kind we do not accept',
    hint: 'Use P-256, P-384, Ed25519, RSA of at least 2048 bits, or ML-DSA where the setting pq is not off.',
  },
  certificate_invalid: {
    status: 400,
    title: 'The certificate cannot go on the roll',
    hint: 'Look at errors, or enroll the device with a CSR instead.',
  },
  certificate_issued_here: {
    status: 409,
    title: 'The certificate was issued here',
    hint: 'What this CA signs is listed as it is signed, or never. Enroll the device: rollcall device enroll.',
  },
} as const
