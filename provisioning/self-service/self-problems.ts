// Problems of a device that calls for itself, and what each becomes on the wire.

export const selfProblems = {
  certificate_required: {
    status: 401,
    title: 'No client certificate was presented',
    hint: 'Call with the certificate and key of the device: curl --cert device.crt --key device.key.',
  },
  admission_refused: {
    status: 403,
    title: 'The certificate is not admitted',
    hint: 'errors names the reason; rollcall explain on the certificate says more.',
  },
  renewal_too_early: {
    status: 409,
    title: 'The certificate is not due for renewal yet',
    hint: 'Try again after Retry-After. Where the key is no longer safe, renew with the reason keyCompromise and a new key.',
  },
} as const
