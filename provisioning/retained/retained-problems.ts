// Problems of retained messages, and what each becomes on the wire.

export const retainedProblems = {
  retained_unknown: {
    status: 404,
    title: 'Nothing is retained there',
    hint: 'rollcall retained list shows what is; brokers note it within a second.',
  },
  retained_unlisted: {
    status: 503,
    title: 'It is not known here what is retained',
    hint: 'Start a broker there, or ask a service that has one beside it.',
    retryAfterSeconds: 5,
  },
  filter_invalid: {
    status: 400,
    title: 'That is no topic filter',
    hint: 'Levels stand between /; + stands for one level, # at the end for all that follow.',
  },
} as const
