// Problems of brokers, and what each becomes on the wire.

export const nodeProblems = {
  node_unknown: {
    status: 404,
    title: 'No broker has this name',
    hint: 'rollcall node list shows those that run; a broker is named by --node.',
  },
} as const
