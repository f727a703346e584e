// Others' mistakes that this API must not repeat.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import { openForReading } from '../../../db/open.ts'
import { rightTo } from '../../../provisioning/operators/access.ts'
import { makeCsr, type Service, startService } from '../harness.ts'

/** Routes whose message itself proves the sender, and the answer to one that is no such message. */
const provenByMessage = new Map([
  ['/v1/enroll/tpm', /"reason":"request_invalid"/],
  ['/.well-known/cmp', /message: it cannot be read/],
  ['/.well-known/cmp/p/{label}', /message: it cannot be read/],
  ['/.well-known/cmp/{operation}', /message: it cannot be read/],
  ['/.well-known/cmp/p/{label}/{operation}', /message: it cannot be read/],
  ...[
    ...[
      'new-account',
      'account/{id}',
      'account/{id}/orders',
      'key-change',
      'new-order',
      'order/{id}',
      'revoke-cert',
    ],
    ...['order/{id}/finalize', 'authorization/{id}/{index}', 'certificate/{fingerprint}'],
  ].map(path => [`/acme/${path}`, /"reason":"request_invalid"/] as const),
])

test('threat 23: every route of the API asks for a token, and only a token of ours is one (threat 18)', async t => {
  await using service = await startService({ failuresPerMinuteMax: 1_000 })
  const { body: document } = await service.call('GET', '/openapi.json')
  const tokens: [string, Record<string, string>][] = [
    ['none', {}],
    ['an unknown one', { authorization: `Bearer rc_${randomBytes(32).toString('base64url')}` }],
    [
      'an unsigned JWT',
      { authorization: `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.` },
    ],
    ['Basic', { authorization: `Basic ${Buffer.from(`admin:${service.token}`).toString('base64')}` }],
    ['one with a character more', { authorization: `Bearer ${service.token}x` }],
    ['one with another case', { authorization: `Bearer ${service.token.toUpperCase()}` }],
    ['its hash', { authorization: `Bearer ${Buffer.from(service.token).toString('hex')}` }],
    ['in another header', { 'x-api-key': service.token, cookie: `token=${service.token}` }],
  ]
  const served = Object.entries(document.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => ({ path, method: method.toUpperCase() })),
  )
  for (const [index, { path, method }] of served.entries()) {
    const right = rightTo(method, path.replace(/\{(\w+)\}/g, ':$1'))
    if ('access' in right && right.access === 'open') continue
    await t.test(`${method} ${path}`, async () => {
      const real = path
        .replace('{id}', 'pump-1')
        .replace('{label}', 'pumps')
        .replace('{operation}', 'pkcs10')
        .replace(/\{\w+\}/g, 'f'.repeat(64))
      const [, headers] = tokens[index % tokens.length]!
      const answer = await service.call(method, real, undefined, { token: null, headers })
      const unproven = provenByMessage.get(path)
      // A TPM may show a token, too: a wrong one is refused as everywhere.
      if (unproven !== undefined && answer.status !== 401) return assert.match(answer.text, unproven)
      assert.equal(answer.status, 401, answer.text)
      const challenge = answer.headers['www-authenticate'] ?? ''
      // A device calls for itself with its certificate, and with no token at all.
      if ('access' in right && right.access === 'device')
        assert.equal(answer.body.reason, 'certificate_required')
      else assert.match(challenge, path.startsWith('/.well-known/est') ? /^Basic / : /^Bearer /)
      assert.doesNotMatch(answer.text, /rce?_[A-Za-z0-9_-]{43}/)
    })
  }
  for (const [name, headers] of tokens) {
    await t.test(`a token: ${name}`, async () => {
      const answer = await service.call('GET', '/v1/whoami', undefined, { token: null, headers })
      assert.equal(answer.status, 401)
      assert.match(answer.body.reason, /^token_(missing|refused)$/)
    })
  }
})

test('threat 25: the registry holds hashes of tokens alone, compared in constant time by their store', async () => {
  await using service = await startService()
  for (const file of ['registry.db', 'registry.db-wal']) {
    assert.equal(readFileSync(join(service.directory, file)).includes(service.token), false, file)
  }
  const source = readFileSync(new URL('../../../db/operators/token-store.ts', import.meta.url), 'utf8')
  assert.match(source, /timingSafeEqual/)
})

test('failed authentications are bounded per address, and a valid token still passes', async () => {
  await using service = await startService({ failuresPerMinuteMax: 5 })
  const statuses: number[] = []
  for (let index = 0; index < 8; index += 1) {
    const answer = await service.call('GET', '/v1/whoami', undefined, { token: 'wrong' })
    statuses.push(answer.status)
    if (answer.status === 429) {
      assert.equal(answer.body.reason, 'rate_limited')
      assert.ok(Number(answer.headers['retry-after']) >= 1)
    }
  }
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429, 429])
  assert.equal((await service.call('GET', '/v1/whoami')).status, 200)
})

test('a token that asks too often is told to wait; another one is not', async () => {
  await using service = await startService({ requestsPerMinuteMax: 4 })
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const { token: other } = await createRegistryWriter(registry).createToken(
    { name: 'other', role: 'viewer' },
    { name: 'test', kind: 'local' as const },
  )
  const statuses = []
  for (let index = 0; index < 6; index += 1) statuses.push((await service.call('GET', '/v1/whoami')).status)
  assert.deepEqual(statuses, [200, 200, 200, 200, 429, 429])
  const limited = await service.call('GET', '/v1/whoami')
  assert.equal(limited.headers['content-type'], 'application/problem+json')
  assert.ok(Number(limited.headers['retry-after']) >= 1)
  assert.equal((await service.call('GET', '/v1/whoami', undefined, { token: other })).status, 200)
  await closeRegistry(registry)
})

test('threat 26: TLS 1.3 and ECDHE-AEAD suites of 1.2 only', async t => {
  await using service = await startService()
  const port = Number(new URL(service.url).port)
  const handshake = (options: ConnectionOptions) =>
    new Promise<string>(resolve => {
      // SECLEVEL=0 lets this client offer what the server must refuse by itself.
      const socket: TLSSocket = connect({ port, host: '127.0.0.1', ca: service.ca, ...options }, () => {
        resolve(`${socket.getProtocol()} ${socket.getCipher().name}`)
        socket.destroy()
      })
      socket.on('error', () => resolve('refused'))
    })
  const rows: [string, ConnectionOptions, RegExp][] = [
    ['TLS 1.3', {}, /^TLSv1\.3 TLS_AES/],
    [
      'TLS 1.2 with ECDHE-ECDSA-AES128-GCM',
      { maxVersion: 'TLSv1.2' },
      /^TLSv1\.2 ECDHE-ECDSA-AES128-GCM-SHA256$/,
    ],
    ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }, /^refused$/],
    [
      'TLS 1.2 with CBC',
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA' },
      /^refused$/,
    ],
    [
      'TLS 1.2 with static RSA',
      { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256:AES128-SHA:@SECLEVEL=0' },
      /^refused$/,
    ],
    ['TLS 1.2 with DHE', { maxVersion: 'TLSv1.2', ciphers: 'DHE-RSA-AES128-GCM-SHA256' }, /^refused$/],
  ]
  for (const [name, options, outcome] of rows) {
    await t.test(name, async () => assert.match(await handshake(options), outcome))
  }
})

test('threat 21: subject text and request paths reach the log as JSON strings, and never a token, CSR or key', async () => {
  const { execFileSync } = await import('node:child_process')
  const { csr, key } = makeCsr('p256')
  const program = `
    import { startService, selfSigned } from ${JSON.stringify(new URL('../harness.ts', import.meta.url).href)}
    const csr = process.argv[1]
    await using service = await startService({ log: 'json' })
    await service.enroll('pump-1', csr)
    await service.call('POST', '/v1/devices', { id: 'evil\\n{"level":60}' })
    await service.call('GET', '/v1/devices/%0a%7b%22level%22:60%7d')
    await service.call('GET', '/v1/whoami', undefined, { token: 'rc_wrongtokenwrongtokenwrongtokenwrongtokenwrong1' })
    await service.call('POST', '/v1/devices/pump-1/certificates', { csr: csr + 'x'.repeat(17000) })
    const { certificate } = selfSigned('<script>alert(1)<\\\\/script>')
    await service.call('POST', '/v1/devices/pump-1/certificates', { certificate, trust: 'pinned' })
    process.stdout.write('TOKEN=' + service.token + '\\n')`
  const folded = execFileSync(
    '/bin/sh',
    ['-c', '"$0" --input-type=module-typescript -e "$1" -- "$2" 2>&1', process.execPath, program, csr],
    { encoding: 'utf8' },
  )
  const token = /^TOKEN=(.+)$/m.exec(folded)![1]!
  const log = folded.replace(`TOKEN=${token}\n`, '')
  const lines = log.trim().split('\n')
  assert.ok(lines.length >= 5)
  for (const line of lines) assert.ok(JSON.parse(line).level <= 40, line)
  for (const secret of [
    token,
    'rc_wrongtoken',
    csr.slice(60, 120),
    key.slice(60, 120),
    'PRIVATE',
    '<script>',
  ]) {
    assert.equal(log.includes(secret), false, secret)
  }
})

test('closing waits for answers on their way and for no silent client', async () => {
  const service: Service = await startService({ receiptTimeoutMs: 300 })
  const registry = openForWriting(join(service.directory, 'registry.db'))
  registry.sqlite.exec(
    `INSERT INTO nodes (id, started_at, seen_at, acknowledged_epoch) VALUES ('silent', 0, 0, 0)`,
  )
  await closeRegistry(registry)
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const port = Number(new URL(service.url).port)
  const plain = connectPlain(port, '127.0.0.1')
  const silent = connect({ port, host: '127.0.0.1', ca: service.ca })
  for (const socket of [plain, silent]) socket.on('error', () => {})
  await Promise.all([
    new Promise(resolve => plain.once('connect', resolve)),
    new Promise(resolve => silent.once('secureConnect', resolve)),
  ])
  const pending = new Promise<number>((resolve, reject) => {
    const outgoing = request(`${service.url}/v1/devices/pump-1/suspend`, {
      method: 'POST',
      ca: service.ca,
      headers: { authorization: `Bearer ${service.token}` },
    })
    outgoing.on('response', response => resolve(response.resume().statusCode ?? 0))
    outgoing.on('error', reject)
    outgoing.end()
  })
  // The change is on record, so the request waits for its receipt now.
  const reading = openForReading(join(service.directory, 'registry.db'))
  const state = reading.sqlite.prepare<[], string>(`SELECT state FROM devices`).pluck()
  while (state.get() !== 'suspended') await new Promise(resolve => setImmediate(resolve))
  await closeRegistry(reading)
  const begun = performance.now()
  const [status] = await Promise.all([pending, service[Symbol.asyncDispose]()])
  assert.equal(status, 200)
  // Answers on their way are given five seconds; a silent client would take all of them.
  assert.ok(performance.now() - begun < 4_500)
})
