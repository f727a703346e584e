// A provisioning service on a directory of its own, asked over real HTTPS, and CSRs as openssl makes them.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ProvisioningOptions } from '../../provisioning/config.ts'
import { createProvisioning, type RunningProvisioning } from '../../provisioning/index.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Answer = { status: number; headers: Record<string, string | undefined>; body: any; text: string }
export type Call = (
  method: string,
  path: string,
  body?: unknown,
  more?: { token?: string | null; headers?: Record<string, string>; raw?: string },
) => Promise<Answer>

export type Service = AsyncDisposable & {
  directory: string
  url: string
  token: string
  ca: string
  running: RunningProvisioning
  call: Call
  /** Registers the device and issues a certificate for a fresh key. */
  enroll(deviceId: string, csr?: string): Promise<Answer['body']>
}

/** A directory that goes when the test ends. */
export function temporaryDirectory(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'rollcall-provisioning-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

export async function startService(
  options: Partial<ProvisioningOptions> & { keep?: boolean } = {},
): Promise<Service> {
  const { keep = false, ...rest } = options
  const directory = rest.data ?? mkdtempSync(join(tmpdir(), 'rollcall-provisioning-'))
  const running = await createProvisioning({
    data: directory,
    host: '127.0.0.1',
    apiPort: 0,
    sans: [],
    log: 'silent',
    receiptTimeoutMs: 50,
    ...rest,
  })
  const ca = readFileSync(join(directory, 'ca.crt'), 'utf8')
  const token = readFileSync(join(directory, 'admin.token'), 'utf8').trim()
  // A service on a manual clock shows a certificate that the real clock of this client would not accept.
  const agent = new Agent({ ca, keepAlive: true, rejectUnauthorized: rest.now === undefined })
  const call = createCall(running.url, agent, token)
  return {
    directory,
    url: running.url,
    token,
    ca,
    running,
    call,
    async enroll(deviceId, csr = makeCsr('p256').csr) {
      await call('POST', '/v1/devices', { id: deviceId })
      const answer = await call('POST', `/v1/devices/${deviceId}/certificates`, { csr })
      if (answer.status !== 201) throw new Error(`enrolling ${deviceId}: ${answer.text}`)
      return answer.body
    },
    async [Symbol.asyncDispose]() {
      agent.destroy()
      await running.close()
      if (!keep && rest.data === undefined) rmSync(directory, { recursive: true, force: true })
    },
  }
}

function createCall(url: string, agent: Agent, token: string): Call {
  return (method, path, body, more = {}) => {
    const text = more.raw ?? (body === undefined ? undefined : JSON.stringify(body))
    const bearer = more.token === undefined ? token : more.token
    return new Promise((resolve, reject) => {
      const outgoing = request(`${url}/`, {
        method,
        agent,
        path,
        headers: {
          ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          // Tests of something else replace whatever there is.
          ...(more.headers ?? (method === 'PATCH' ? { 'if-match': '*' } : {})),
        },
      })
      outgoing.on('error', reject)
      outgoing.on('response', response => {
        let received = ''
        const headers = response.headers as Record<string, string | undefined>
        if (headers['content-type']?.startsWith('text/event-stream')) {
          // It has no end: that it began is the answer.
          resolve({ status: response.statusCode ?? 0, headers, body: null, text: '' })
          outgoing.destroy()
          return
        }
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          received += part
        })
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers as Record<string, string | undefined>,
            body: parsed(received),
            text: received,
          }),
        )
      })
      outgoing.end(text)
    })
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export const keyArguments = {
  p256: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  p384: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  p521: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  secp256k1: ['ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
  ed25519: ['ed25519'],
  rsa1024: ['rsa', '-pkeyopt', 'rsa_keygen_bits:1024'],
  rsa2048: ['rsa', '-pkeyopt', 'rsa_keygen_bits:2048'],
  rsa2048e3: ['rsa', '-pkeyopt', 'rsa_keygen_bits:2048', '-pkeyopt', 'rsa_keygen_pubexp:3'],
} as const
export type TestKey = keyof typeof keyArguments

/** A CSR and its key, PEM, as a device's owner makes them with openssl. */
export function makeCsr(
  type: TestKey,
  more: readonly string[] = ['-subj', '/CN=whoever'],
): { csr: string; key: string } {
  using folder = temporaryDirectory()
  const key = join(folder.path, 'key.pem')
  const csr = join(folder.path, 'request.pem')
  openssl(['req', '-new', '-newkey', ...keyArguments[type], '-nodes', '-keyout', key, '-out', csr, ...more])
  return { csr: readFileSync(csr, 'utf8'), key: readFileSync(key, 'utf8') }
}

export type Authority = { certificate: string; key: string }

/** A CA of somebody else, and certificates under it or under themselves, made with openssl. PEM. */
export function makeForeignCa(name = 'Foreign CA'): Authority {
  return selfSigned(name, [
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=keyCertSign,cRLSign',
  ])
}

export function selfSigned(
  name: string,
  extensions: readonly string[] = [],
  key: TestKey = 'p256',
): Authority {
  using folder = temporaryDirectory()
  const keyFile = join(folder.path, 'key.pem')
  const certificate = openssl([
    'req',
    '-x509',
    '-new',
    '-newkey',
    ...keyArguments[key],
    '-nodes',
    '-keyout',
    keyFile,
    '-days',
    '30',
    '-subj',
    `/CN=${name}`,
    ...extensions,
  ])
  return { certificate, key: readFileSync(keyFile, 'utf8') }
}

/** A certificate that a foreign CA signed, with exactly these extension lines. */
export function signedBy(
  ca: Authority,
  subject: string,
  extensions = 'extendedKeyUsage=clientAuth',
  more: readonly string[] = ['-days', '30'],
  key: TestKey = 'p256',
): string {
  using folder = temporaryDirectory()
  const file = (name: string, content: string) => {
    const path = join(folder.path, name)
    writeFileSync(path, content)
    return path
  }
  return openssl([
    'x509',
    '-req',
    '-in',
    file('request.pem', makeCsr(key, ['-subj', subject]).csr),
    '-CA',
    file('ca.pem', ca.certificate),
    '-CAkey',
    file('ca.key', ca.key),
    '-CAcreateserial',
    '-extfile',
    file('extensions', `${extensions}\n`),
    ...more,
  ])
}

/** Runs openssl and gives what it prints. */
export function openssl(args: readonly string[], input?: string): string {
  return execFileSync('openssl', args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] })
}

/** Every refusal is a whole problem document with the request ID of its header, and gives nothing away. */
export function assertProblem(answer: Answer, status: number, reason: string): void {
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.headers['content-type'], 'application/problem+json')
  assert.equal(answer.body.reason, reason, answer.text)
  assert.equal(answer.body.type, `urn:rollcall:problem:${reason}`)
  assert.equal(answer.body.status, status)
  assert.equal(answer.body.requestId, answer.headers['x-request-id'])
  assert.ok(answer.body.title && answer.body.detail)
  assert.doesNotMatch(answer.text, /node_modules|\.ts:\d|SQLITE|at [A-Z]\w+\./)
}

export async function countDevices(service: Service): Promise<number> {
  return (await service.call('GET', '/v1/devices?limit=500')).body.items.length
}

/** Every file of a data directory that a later start must leave as it is. */
export const lastingFiles = [
  'ca.crt',
  'issuing.crt',
  'server.crt',
  'admin.token',
  'keys/root.key',
  'keys/issuing.key',
  'keys/server.key',
]

export function hashes(directory: string): Record<string, string> {
  return Object.fromEntries(
    lastingFiles.map(file => [
      file,
      createHash('sha256')
        .update(readFileSync(join(directory, file)))
        .digest('hex'),
    ]),
  )
}

/** Starts a service, asks it something, and stops it. Gives the admin token. */
export async function startAndStop(directory: string): Promise<string> {
  await using service = await startService({ data: directory })
  const { status } = await service.call('GET', '/v1/whoami')
  assert.equal(status, 200)
  return service.token
}

/** A whole number of the metrics page, by name and labels; NaN where there is none. */
export async function sample(service: Service, name: string): Promise<number> {
  const line = new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\d+)`, 'm')
  return Number(line.exec(await service.running.metrics())?.[1])
}
