// Problems of requests as such, whatever they ask for, and of a registry that cannot be used, and what each becomes on the wire.

export const httpProblems = {
  request_invalid: {
    status: 400,
    title: 'The request is not what this route takes',
    hint: 'Look at errors; /docs shows what the route takes.',
  },
  body_malformed: { status: 400, title: 'The body is not JSON', hint: 'Send one JSON object.' },
  cursor_invalid: {
    status: 400,
    title: 'The cursor is not one of ours',
    hint: 'Take the cursor from nextCursor of the page before, or leave it out.',
  },
  route_unknown: { status: 404, title: 'There is nothing here', hint: '/docs lists what there is.' },
  body_too_large: { status: 413, title: 'The body is too large', hint: 'Bodies are at most 64 KiB.' },
  media_type_unsupported: {
    status: 415,
    title: 'The media type is not supported',
    hint: 'Send the Content-Type that detail names.',
  },
  rate_limited: { status: 429, title: 'Too many requests', hint: 'Wait as long as Retry-After says.' },
  request_refused: { status: 400, title: 'The request cannot be served', hint: null },
  version_required: {
    status: 428,
    title: 'A replacement must name the version that it replaces',
    hint: 'Send its ETag as If-Match, or If-Match: * to replace any.',
  },
  internal_error: {
    status: 500,
    title: 'Something failed here',
    hint: 'The log line with this request ID says what.',
  },
  service_busy: {
    status: 503,
    title: 'The service has more to do than it takes on',
    hint: 'Try again; nothing was done. Revocations are served meanwhile.',
    retryAfterSeconds: 1,
  },
  registry_busy: {
    status: 503,
    title: 'The registry is locked by another writer',
    hint: 'Try again; nothing was written.',
    retryAfterSeconds: 1,
  },
  registry_unavailable: {
    status: 503,
    title: 'The registry cannot be used',
    hint: 'Check disk and registry.db; the log line with this request ID says more.',
    retryAfterSeconds: 5,
  },
  registry_full: {
    status: 507,
    title: 'The disk that holds the registry is full',
    hint: 'Make room; nothing was written, and the next request is served without a restart.',
    retryAfterSeconds: 5,
  },
} as const
