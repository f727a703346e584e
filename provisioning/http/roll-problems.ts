// Problems of devices and certificates on the roll, and what each becomes on the wire. Most features refuse with them.

export const rollProblems = {
  device_unknown: {
    status: 404,
    title: 'No such device is registered',
    hint: 'Register it: rollcall device add.',
  },
  certificate_unknown: {
    status: 404,
    title: 'No such certificate is on the roll',
    hint: 'rollcall certificate list shows those that are.',
  },
  device_exists: {
    status: 409,
    title: 'A device of this ID is registered already',
    hint: 'Read it with GET /v1/devices/ID, change it with PATCH.',
  },
  device_state_forbids: {
    status: 409,
    title: 'The state of the device forbids that',
    hint: 'A decommissioned device stays so, and only such a device can be deleted.',
  },
  device_changed: {
    status: 412,
    title: 'The device is not of that version any more',
    hint: 'Read it again, look at what changed, and send its ETag as If-Match.',
  },
  certificate_exists: { status: 409, title: 'The certificate is on the roll already', hint: null },
  certificate_changed: {
    status: 412,
    title: 'The certificate is not of that version any more',
    hint: 'Read it again, look at what changed, and send its ETag as If-Match.',
  },
  certificate_status_forbids: {
    status: 409,
    title: 'The status of the certificate forbids that',
    hint: null,
  },
  certificates_exceeded: {
    status: 409,
    title: 'Two certificates admit the device already',
    hint: 'Revoke the one it does not use: rollcall certificate revoke FINGERPRINT --reason superseded.',
  },
  public_key_taken: {
    status: 409,
    title: 'The public key belongs to another device',
    hint: 'Generate a new key pair: a key identifies one device for ever.',
  },
  public_key_compromised: {
    status: 409,
    title: 'The public key was revoked as compromised',
    hint: 'Generate a new key pair.',
  },
} as const
