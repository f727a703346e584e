// Enrollment as a device does it by itself: EST (RFC 7030), proving itself by a one-time token of the operator's API, a
// user and password, or a bootstrap certificate. Does not know what the certificate is for.
import { RunFailed } from '../failure.ts'
import type { Api } from './api.ts'
import { type Identity, identityFrom, loadX509, makeRequest } from './identity.ts'
import { refusal } from './refusal.ts'
import type { KeyType } from './signing-keys.ts'

const DEADLINE_MS = 30_000
const BODY_BYTES_MAX = 262_144
const TRIES_MAX = 5

export type EstServer = {
  /** Ends before the operation: `https://HOST:PORT/.well-known/est`, perhaps with a label. */
  url: string
  ca: string | null
  proof: EstProof
}
type EstProof =
  | { by: 'token'; api: Api }
  | { by: 'password'; of: (deviceId: string) => { user: string; password: string } }
  | { by: 'certificate'; key: string; certificates: string }

/** A new key and a certificate for it. The key is made here and never sent. */
export async function enrollByEst(deviceId: string, keyType: KeyType, server: EstServer): Promise<Identity> {
  const authorization = await authorizationOf(deviceId, server.proof)
  const { key, csr } = await makeRequest(deviceId, keyType)
  const body = csr.replace(/-----[^-]+-----|\s/g, '')
  const ask = (): Promise<Answer> => send(server, 'simpleenroll', { authorization, body })
  let answer = await ask()
  // The same request again is answered with the same certificate, so asking again costs nothing.
  for (let tries = 1; answer.status === 503 && tries < TRIES_MAX; tries++) answer = await ask()
  if (answer.status === 202)
    throw new RunFailed(`enrolling ${deviceId} by EST waits for an operator's approval`)
  if (answer.status !== 200) throw new RunFailed(`enrolling ${deviceId} by EST: ${answer.status}`)
  const [leaf, ...others] = await certificatesIn(answer.body)
  const issuers =
    others.length > 0 ? others : await certificatesIn((await send(server, 'cacerts', null)).body)
  if (!leaf) throw new RunFailed(`enrolling ${deviceId} by EST: the answer holds no certificate`)
  // The root is not sent: a client that trusts it has it.
  const chain = issuers.filter(issuer => issuer.subject !== issuer.issuer && issuer.subject !== leaf.subject)
  return identityFrom(
    deviceId,
    key,
    [leaf, ...chain].map(certificate => certificate.toString('pem')),
  )
}

async function authorizationOf(deviceId: string, proof: EstProof): Promise<string | null> {
  if (proof.by === 'certificate') return null
  if (proof.by === 'password') {
    const { user, password } = proof.of(deviceId)
    return basic(user, password)
  }
  const made = await proof.api.call<{ token: string }>('POST', '/v1/enrollment-tokens', { deviceId })
  if (made.problem) throw refusal(`making a token for ${deviceId}`, made.status, made.problem)
  return basic(deviceId, made.body.token)
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

/** Of a certs-only PKCS #7 in base64. */
async function certificatesIn(base64: string) {
  const x509 = await loadX509()
  return [...new x509.X509Certificates(base64.replace(/\s/g, ''))]
}

type Answer = { status: number; body: string }
type Enroll = { authorization: string | null; body: string }

async function send(
  { url, ca, proof }: EstServer,
  operation: string,
  enroll: Enroll | null,
): Promise<Answer> {
  const { request } = await import('node:https')
  return new Promise((resolve, reject) => {
    const outgoing = request(`${url}/${operation}`, {
      method: enroll ? 'POST' : 'GET',
      timeout: DEADLINE_MS,
      ...(ca === null ? {} : { ca }),
      ...(proof.by === 'certificate' ? { key: proof.key, cert: proof.certificates } : {}),
      headers: enroll
        ? {
            ...(enroll.authorization === null ? {} : { authorization: enroll.authorization }),
            'content-type': 'application/pkcs10',
            'content-transfer-encoding': 'base64',
            'content-length': Buffer.byteLength(enroll.body),
          }
        : {},
    })
    const failed = (error: Error): void =>
      reject(new RunFailed(`EST at ${url}: ${error.message}`, { cause: error }))
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')))
    outgoing.on('error', failed)
    // An answer that switches protocols unasked is neither a response nor an error.
    outgoing.once('close', () => failed(new Error('closed without an answer')))
    outgoing.on('response', response => {
      const parts: Buffer[] = []
      let size = 0
      response.on('error', failed)
      response.on('data', (part: Buffer) => {
        size += part.length
        if (size > BODY_BYTES_MAX) outgoing.destroy(new Error('it answered too much'))
        else parts.push(part)
      })
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('latin1') })
      })
    })
    outgoing.end(enroll?.body)
  })
}
