// Problems of webhooks, and what each becomes on the wire.

export const webhookProblems = {
  webhook_url_refused: {
    status: 400,
    title: 'The URL may not be a webhook',
    hint: 'Name an https URL of a public address. ROLLCALL_WEBHOOK_PRIVATE_ADDRESSES=1 allows private addresses, and http.',
  },
  webhook_unknown: {
    status: 404,
    title: 'There is no such webhook',
    hint: 'rollcall webhook list shows those that there are.',
  },
  webhook_disabled: {
    status: 409,
    title: 'The webhook is disabled',
    hint: 'Enable it first: it is then sent what it missed, as far as the log holds it.',
  },
  event_unknown: {
    status: 404,
    title: 'The log of events does not hold that event',
    hint: 'It holds events of seven days: GET /v1/events shows them with their seq.',
  },
  webhooks_exceeded: {
    status: 409,
    title: 'There are too many webhooks',
    hint: 'Remove one that nobody needs: rollcall webhook list shows which are disabled.',
  },
} as const
