// Problems of policies, their attachments and trials, and what each becomes on the wire.

export const policyProblems = {
  policy_invalid: {
    status: 400,
    title: 'The policy document cannot be used',
    hint: 'Look at errors: all faults are there, each with its path.',
  },
  policy_unknown: {
    status: 404,
    title: 'No such policy exists',
    hint: 'rollcall policy list shows those that do.',
  },
  attachment_unknown: {
    status: 404,
    title: 'The policy is not attached to that',
    hint: 'rollcall policy show NAME shows what it is attached to.',
  },
  policy_attached: {
    status: 409,
    title: 'The policy is attached',
    hint: 'Detach it first: rollcall policy detach NAME --everyone, --device, --group or --issuer.',
  },
  policy_changed: {
    status: 412,
    title: 'The policy is not of that version any more',
    hint: 'Read it again, look at what changed (rollcall policy diff FILE), and send its ETag as If-Match.',
  },
  trial_too_large: {
    status: 422,
    title: 'The trial is more work than the service takes on',
    hint: 'Try fewer topics, or attachments that reach fewer devices.',
  },
} as const
