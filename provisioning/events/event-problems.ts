// Problems of event streams, and what each becomes on the wire.

export const eventProblems = {
  streams_exceeded: {
    status: 429,
    title: 'Too many streams of events are open',
    hint: 'Close one, or read pages of GET /v1/events.',
  },
} as const
