// Problems of the Idempotency-Key header, and what each becomes on the wire.

export const idempotencyProblems = {
  request_in_flight: {
    status: 409,
    title: 'This request is being served',
    hint: 'Send it again with the same Idempotency-Key once Retry-After is over.',
  },
  answer_lost: {
    status: 409,
    title: 'The change was made, but its answer was lost',
    hint: 'Read what was changed; detail names it.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The Idempotency-Key stood for another request',
    hint: 'Make a new key for every new request.',
  },
} as const
