// Problems of enrollment by a TPM, and what each becomes on the wire.

export const tpmProblems = {
  tpm_key_refused: {
    status: 400,
    title: 'The key or certificate of the TPM cannot be used',
    hint: 'errors says what is wrong with which part; docs/tpm.md has commands that make a key which can be used.',
  },
  tpm_unknown: {
    status: 403,
    title: 'Nothing vouches for this TPM',
    hint: 'Put its endorsement key on record (rollcall device endorsement-key), trust its manufacturer (rollcall issuer tpm), or send an enrollment token.',
  },
  tpm_refused: {
    status: 403,
    title: 'The TPM may not enroll',
    hint: 'detail says why; rollcall issuer tpm shows what is set for its manufacturer.',
  },
  tpm_secret_wrong: {
    status: 403,
    title: 'This is not the secret of the credential',
    hint: 'The challenge is used up: begin again, and send what tpm2_activatecredential gives.',
  },
  tpm_session_unknown: {
    status: 404,
    title: 'No such challenge is open',
    hint: 'Each is answered once, within two minutes, and none outlives a restart of the service: begin again.',
  },
  endorsement_key_taken: {
    status: 409,
    title: 'The endorsement key is that of another device',
    hint: 'A TPM is one device: look at the device that detail names.',
  },
  tpm_challenges_exceeded: {
    status: 429,
    title: 'Too many challenges are open',
    hint: 'Answer those that are open, or wait as long as Retry-After says.',
  },
} as const
