// Problems of tryouts, and what each becomes on the wire.

export const tryoutProblems = {
  tryout_denied: {
    status: 403,
    title: 'The device may not do that',
    hint: 'Its page in the console, under Policy, and rollcall policy simulate name the statement that decides.',
  },
  device_not_admitted: {
    status: 409,
    title: 'The device would not be admitted now, so it has no rights',
    hint: 'rollcall explain DEVICE tells why.',
  },
  tryouts_exceeded: {
    status: 429,
    title: 'Too much is being tried out',
    hint: 'Wait, or end what listens.',
    retryAfterSeconds: 10,
  },
  broker_unreachable: {
    status: 503,
    title: 'It can be tried out through a broker alone',
    hint: 'Start a broker there, or ask a service that has one beside it.',
    retryAfterSeconds: 5,
  },
} as const
