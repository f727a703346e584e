// Problems of our own CA: of its keys, its rotation and its end, and what each becomes on the wire.

export const caProblems = {
  issuer_current: {
    status: 409,
    title: 'The issuer is the CA that issues now',
    hint: 'Hand over to another first: rollcall ca rotate. In an emergency: rollcall issuer disable ID.',
  },
  root_key_offline: {
    status: 409,
    title: 'The key of the root is offline',
    hint: 'Bring it for this once: rollcall ca rotate --root-key FILE --root-passphrase-file FILE.',
  },
  rotation_running: {
    status: 409,
    title: 'A rotation is under way',
    hint: 'Look how far it is: rollcall ca status.',
    retryAfterSeconds: 5,
  },
  issuer_disabled: {
    status: 409,
    title: 'The issuing CA is disabled',
    hint: 'Where another CA issues, copy its key to this service; else enable it again: rollcall issuer enable ID.',
  },
  ca_expired: {
    status: 503,
    title: 'The issuing CA has expired',
    hint: 'Check the clock of this machine; else rotate the issuing CA.',
    retryAfterSeconds: 3600,
  },
} as const
