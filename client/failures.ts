// How a call fails: the service answered with a problem, or no answer of it was had.

export type Finding = { path: string; message: string }

/** A problem document (RFC 9457) as an error. `reason` is stable; `hint` says what to do. */
export class ApiProblem extends Error {
  readonly status: number
  readonly reason: string
  readonly detail: string
  readonly hint: string
  readonly requestId: string | null
  /** What is wrong with which field of the request. */
  readonly findings: readonly Finding[]

  constructor(status: number, document: unknown) {
    const problem = isObject(document) ? document : {}
    const title = text(problem['title']) || `the service answered ${status}`
    const detail = text(problem['detail'])
    super(detail || title)
    this.name = 'ApiProblem'
    this.status = status
    this.reason = text(problem['reason']) || 'unknown'
    this.detail = detail
    this.hint = text(problem['hint'])
    this.requestId = text(problem['requestId']) || null
    this.findings = findingsOf(problem['errors'])
  }
}

/** The service gave no answer: nothing listens at the address, another server does, or the answer took too long. */
export class ApiUnreachable extends Error {
  readonly code: string
  readonly hint: string

  constructor(url: URL, cause: NodeJS.ErrnoException) {
    // A DOMException, as a timeout is, has a number there.
    const code = typeof cause.code === 'string' ? cause.code : cause.name
    const [what, hint] = inWords(code, cause)
    super(`${url.origin} ${what}`, { cause })
    this.name = 'ApiUnreachable'
    this.code = code
    this.hint = hint
  }
}

function inWords(code: string, cause: Error): [string, string] {
  switch (code) {
    case 'ECONNREFUSED':
      return ['refuses connections', 'start the service (rollcall up), or check its address']
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return ['has a name that cannot be resolved', 'check the address']
    case 'TimeoutError':
      return [
        'did not answer in time',
        'check the network and the service, then look whether the change was made',
      ]
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return [
        'has a certificate for other names',
        'use a name of the certificate, or start the service with --san NAME',
      ]
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'CERT_SIGNATURE_FAILURE':
      return [
        'has a certificate of another CA',
        'name the ca.crt of the data directory that this service runs on',
      ]
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return ['does not speak HTTPS', 'check the port']
    default:
      return [`cannot be reached (${cause.message})`, 'check the address and the log of the service']
  }
}

function findingsOf(value: unknown): Finding[] {
  if (!Array.isArray(value)) return []
  return value
    .filter(isObject)
    .map(finding => ({ path: text(finding['path']), message: text(finding['message']) }))
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
