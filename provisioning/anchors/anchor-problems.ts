// Problems of trust anchors, their CRLs and the registration of devices under them, and what each becomes on the wire.

export const anchorProblems = {
  issuer_unknown: {
    status: 404,
    title: 'No such issuer is registered',
    hint: 'rollcall issuer list shows those that are.',
  },
  issuer_invalid: {
    status: 400,
    title: 'The certificate cannot be a trust anchor',
    hint: 'Look at errors. A trust anchor is the CA certificate that signs the devices, root or intermediate.',
  },
  proof_invalid: {
    status: 400,
    title: 'The certificate does not prove possession',
    hint: 'Have the CA sign a certificate whose only common name is the nonce of the challenge: rollcall issuer challenge.',
  },
  name_template_invalid: {
    status: 400,
    title: 'The name template cannot be used',
    hint: 'docs/trust-anchors.md tells what it may hold; rollcall issuer registration --name sets it.',
  },
  crl_invalid: {
    status: 400,
    title: 'The CRL cannot be used',
    hint: 'Send the complete CRL that this very CA signed, as DER or PEM: openssl crl -in FILE -noout -text shows it.',
  },
  crl_source_refused: {
    status: 400,
    title: 'A CRL is not fetched from there',
    hint: 'Name an http or https URL of a public address. ROLLCALL_CRL_PRIVATE_ADDRESSES=1 allows private ones.',
  },
  crl_outdated: {
    status: 409,
    title: 'A newer CRL is in force',
    hint: 'Import the newest that the CA published: an older one would admit certificates again that it revoked since.',
  },
  crl_unreachable: {
    status: 502,
    title: 'The CRL could not be fetched',
    hint: 'The list in force stays. Look at the URL and the network, or import a file: rollcall issuer crl import.',
  },
  issuer_exists: {
    status: 409,
    title: 'The issuer is registered already',
    hint: 'rollcall issuer show ID. A certificate that renews it with the same name and key must end later.',
  },
  issuer_own: {
    status: 409,
    title: 'The issuer is a CA of this service',
    hint: 'Trust anchors are CAs of others: rollcall issuer list shows them as foreign.',
  },
  issuer_in_use: {
    status: 409,
    title: 'Devices still rely on the issuer',
    hint: 'For a CA of this service wait until they have renewed (rollcall ca rotate --status), or cut them with force. A trust anchor that is in use can be disabled: rollcall issuer disable ID.',
  },
  issuer_certificate_unknown: {
    status: 404,
    title: 'The issuer has no such replaced certificate',
    hint: 'rollcall issuer show ID lists its certificates; the one in force cannot be retired.',
  },
  challenge_missing: {
    status: 409,
    title: 'No challenge is open',
    hint: 'Ask for one: rollcall issuer challenge ID. It is open for a day, and a newer one ends it.',
  },
  possession_unproven: {
    status: 409,
    title: 'Possession of the CA key is not proven',
    hint: 'rollcall issuer challenge ID, have the CA sign it, then rollcall issuer prove ID FILE.',
  },
  issuer_changed: {
    status: 412,
    title: 'The issuer is not of that version any more',
    hint: 'Read it again, look at what changed, and send its ETag as If-Match.',
  },
} as const
