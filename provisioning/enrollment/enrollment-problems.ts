// Problems of enrollment: tokens, claims, IDevIDs, EST, and what each becomes on the wire.

export const enrollmentProblems = {
  enrollment_credential_missing: {
    status: 401,
    title: 'Nothing was shown that may enroll',
    hint: 'Send an enrollment token (Authorization: Bearer rce_…; EST: Basic DEVICE-ID:rce_…), or call with a claim certificate.',
  },
  enrollment_token_refused: {
    status: 401,
    title: 'There is no such enrollment token',
    hint: 'Ask an operator for another: rollcall enrollment-token create.',
  },
  enrollment_token_revoked: {
    status: 401,
    title: 'The enrollment token was revoked',
    hint: 'Ask an operator for another: rollcall enrollment-token create.',
  },
  enrollment_token_expired: {
    status: 401,
    title: 'The enrollment token has expired',
    hint: 'Ask an operator for another: rollcall enrollment-token create.',
  },
  enrollment_token_exhausted: {
    status: 401,
    title: 'The enrollment token was presented too often in vain',
    hint: 'Mend the request, and ask an operator for another token: rollcall enrollment-token create.',
  },
  enrollment_token_used: {
    status: 409,
    title: 'The enrollment token was used',
    hint: 'After a lost answer ask again with the same key within 10 minutes. Else ask an operator for another token, and if nobody of yours used this one, revoke what it got.',
  },
  enrollment_token_unknown: {
    status: 404,
    title: 'There is no such enrollment token',
    hint: 'rollcall enrollment-token list shows those there are.',
  },
  claim_unknown: {
    status: 404,
    title: 'There is no such claim',
    hint: 'rollcall claim list shows those there are.',
  },
  claim_refused: {
    status: 403,
    title: 'The claim certificate opens nothing',
    hint: 'Ask an operator for another: rollcall claim create.',
  },
  claim_exceeded: {
    status: 409,
    title: 'The claim has enrolled as many devices as it may',
    hint: 'If more are expected, make another claim: rollcall claim create.',
  },
  claim_device_forbidden: {
    status: 403,
    title: 'The claim does not name this device',
    hint: 'Check the serial number, or make a claim that names it: rollcall claim create --allow.',
  },
  idevid_refused: {
    status: 403,
    title: 'The IDevID may not enroll',
    hint: 'detail says why; rollcall issuer enrollment shows what is set for its manufacturer.',
  },
  device_id_missing: {
    status: 400,
    title: 'It is not said which device is to be enrolled',
    hint: 'Send deviceId in the body or query; in EST the user name, else the serialNumber or CN of the request, names it.',
  },
  device_id_refused: {
    status: 403,
    title: 'This may not enroll that device',
    hint: 'Leave the device out, or use what was made for it.',
  },
  enrollment_rejected: {
    status: 403,
    title: 'An operator rejected the enrollment',
    hint: 'If that was a mistake, ask for another token and enroll again.',
  },
  est_label_refused: {
    status: 403,
    title: 'What was shown is not for the group that the label names',
    hint: 'Leave the label out of the path: what was shown decides the group.',
  },
  csr_names_changed: {
    status: 400,
    title: 'Renewing changes no names',
    hint: 'Ask for the subject and subjectAltName of the current certificate: openssl req -subj /CN=ID -addext subjectAltName=URI:urn:rollcall:device:ID.',
  },
} as const
