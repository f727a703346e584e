// A client of ACME for tests: each part of a signed request can be another than it should be.
import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { FlattenedSign } from 'jose'
import { pemBlocks } from '../../../pki/pem.ts'
import { type Answer, ask } from '../device-requests.ts'
import { makeCsr, type Service } from '../harness.ts'

export type Pair = { publicKey: KeyObject; privateKey: KeyObject }
export type Binding = { kid: string; hmacKey: string }
type Header = Record<string, unknown>
/** What is sent instead of what should be. */
export type Twist = {
  header?: Header
  path?: string
  signedBy?: Pair
  alg?: string
  raw?: object | string
  type?: string
}

export const newKey = (): Pair => generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const jwkOf = ({ publicKey }: Pair) => publicKey.export({ format: 'jwk' })
const base64url = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

export async function signed(key: Pair, header: Header, payload: unknown, alg = 'ES256') {
  const bytes = Buffer.from(
    payload === null ? '' : typeof payload === 'string' ? payload : JSON.stringify(payload),
  )
  return new FlattenedSign(bytes).setProtectedHeader({ alg, ...header }).sign(key.privateKey)
}

/** The inner JWS of RFC 8555 §7.3.4, made by hand so that each part can be wrong. */
export function bindingOf(binding: Binding, url: string, jwk: object, header: Header = {}) {
  const parts = [base64url({ alg: 'HS256', kid: binding.kid, url, ...header }), base64url(jwk)]
  const mac = createHmac('sha256', Buffer.from(binding.hmacKey, 'base64url')).update(parts.join('.'))
  return { protected: parts[0], payload: parts[1], signature: mac.digest('base64url') }
}

/** Asks for a token, and gives what stands for it. */
export async function bindingFor(service: Service, order: object): Promise<Binding> {
  const { body, status, text } = await service.call('POST', '/v1/enrollment-tokens', { ...order, acme: true })
  assert.equal(status, 201, text)
  return body.acme
}

export async function createAcmeClient(service: Service, key: Pair = newKey()) {
  const at = (path: string) => service.url + path
  let account = ''

  async function nonce(): Promise<string> {
    const { headers } = await ask(service, null, 'HEAD', '/acme/new-nonce')
    return String(headers['replay-nonce'])
  }

  async function post(path: string, payload: unknown, twist: Twist = {}): Promise<Answer> {
    const identity = account === '' ? { jwk: jwkOf(key) } : { kid: account }
    const header = { ...identity, nonce: await nonce(), url: at(path), ...twist.header }
    const body = twist.raw ?? (await signed(twist.signedBy ?? key, header, payload, twist.alg))
    return ask(service, null, 'POST', twist.path ?? path, body, {
      'content-type': twist.type ?? 'application/jose+json',
    })
  }

  const client = {
    key,
    post,
    nonce,
    /** The address of the account. */
    account: () => account,
    use(url: string) {
      account = url
    },
    pathOf: (url: string) => url.slice(service.url.length),

    async register(binding: Binding | null, payload: object = {}): Promise<Answer> {
      const bound = binding && {
        externalAccountBinding: bindingOf(binding, at('/acme/new-account'), jwkOf(key)),
      }
      const answer = await post('/acme/new-account', { termsOfServiceAgreed: true, ...bound, ...payload })
      if (answer.status < 300) account = String(answer.headers.location)
      return answer
    },

    async order(name = 'gateway', more: object = {}): Promise<Answer> {
      return post('/acme/new-order', { identifiers: [{ type: 'dns', value: name }], ...more })
    },

    finalize: (order: Answer, csr: string) =>
      post(client.pathOf(order.body.finalize), {
        csr: pemBlocks(csr, 'CERTIFICATE REQUEST')[0]?.toString('base64url'),
      }),

    /** Orders, finalizes and fetches; gives the chain in PEM, and the key. */
    async certificate(name = 'gateway', request = makeCsr('p256')) {
      const order = await client.order(name)
      assert.equal(order.status, 201, order.bytes.toString())
      const finalized = await client.finalize(order, request.csr)
      assert.equal(finalized.body.status, 'valid', finalized.bytes.toString())
      const { bytes } = await post(client.pathOf(finalized.body.certificate), null)
      return { chain: bytes.toString(), key: request.key, order, finalized }
    },
  }
  return client
}

/** A problem document of ACME, with a nonce to go on with. */
export function assertRefused(answer: Answer, status: number, type: string, detail: RegExp): void {
  assert.equal(answer.type, 'application/problem+json', answer.bytes.toString())
  assert.equal(answer.body.type, `urn:ietf:params:acme:error:${type}`, answer.bytes.toString())
  assert.equal(answer.status, status, answer.bytes.toString())
  assert.equal(answer.body.status, status)
  assert.match(answer.body.detail, detail)
  assert.ok(answer.headers['replay-nonce'], 'a nonce to go on with')
  assert.doesNotMatch(answer.bytes.toString(), /node_modules|\.ts:\d|SQLITE/)
}
