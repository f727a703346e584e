// Enrollment as a device does it by itself: EST (RFC 7030) with a one-time token that the operator's API hands out.
// Refuses to know what the certificate is for.
import 'reflect-metadata'
import { request } from 'node:https'
import * as x509 from '@peculiar/x509'
import { type Api, refusal } from './api.ts'
import { RunFailed } from './failure.ts'
import { type Identity, identityFrom, type KeyType, makeRequest } from './identity.ts'

const DEADLINE_MS = 30_000
const BODY_BYTES_MAX = 262_144
const TRIES_MAX = 5

export type EstOptions = { api: Api; ca: string | null; keyType: KeyType }

/** A new key and a certificate for it; the device must be registered. The key is made here and never sent. */
export async function enrollByEst(deviceId: string, { api, ca, keyType }: EstOptions): Promise<Identity> {
  const made = await api.call<{ token: string }>('POST', '/v1/enrollment-tokens', { deviceId })
  if (made.problem) throw refusal(`making a token for ${deviceId}`, made.status, made.problem)
  const { key, csr } = await makeRequest(deviceId, keyType)
  const authorization = `Basic ${Buffer.from(`${deviceId}:${made.body.token}`).toString('base64')}`
  const body = csr.replace(/-----[^-]+-----|\s/g, '')
  const ask = (): Promise<Answer> => send(api.url, ca, 'simpleenroll', { authorization, body })
  let answer = await ask()
  // The same request again is answered with the same certificate, so asking again costs nothing.
  for (let tries = 1; answer.status === 503 && tries < TRIES_MAX; tries++) answer = await ask()
  if (answer.status === 202)
    throw new RunFailed(`enrolling ${deviceId} by EST waits for an operator's approval`)
  if (answer.status !== 200) throw new RunFailed(`enrolling ${deviceId} by EST: ${answer.status}`)
  const [leaf, ...others] = certificatesIn(answer.body)
  const issuers = others.length > 0 ? others : certificatesIn((await send(api.url, ca, 'cacerts', null)).body)
  if (!leaf) throw new RunFailed(`enrolling ${deviceId} by EST: the answer holds no certificate`)
  // The root is not sent: who trusts it has it.
  const chain = issuers.filter(issuer => issuer.subject !== issuer.issuer && issuer.subject !== leaf.subject)
  return identityFrom(
    deviceId,
    key,
    [leaf, ...chain].map(certificate => certificate.toString('pem')),
  )
}

/** Of a certs-only PKCS #7 in base64. */
function certificatesIn(base64: string): x509.X509Certificate[] {
  return [...new x509.X509Certificates(base64.replace(/\s/g, ''))]
}

type Answer = { status: number; body: string }
type Enroll = { authorization: string; body: string }

function send(url: string, ca: string | null, operation: string, enroll: Enroll | null): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(`/.well-known/est/${operation}`, url), {
      method: enroll ? 'POST' : 'GET',
      timeout: DEADLINE_MS,
      ...(ca === null ? {} : { ca }),
      headers: enroll
        ? {
            authorization: enroll.authorization,
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
