// curl as an operator's script uses it: the API over HTTPS, with the right and the wrong CA and token.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { makeKey, makeRequest } from '../../cli/enrollment/key-pair.ts'
import { run } from '../e2e/mosquitto.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'

describe('curl', () => {
  const world = scratch()
  const data = world.at('data')
  let system: System
  let token: string
  before(async () => {
    system = await startSystem(data)
    token = readFileSync(world.at('data', 'admin.token'), 'utf8').trim()
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  const url = (path: string) => `${system.ready.api}${path}`
  const trusting = (...flags: string[]) => [
    '-sS',
    '--max-time',
    '60',
    '--cacert',
    world.at('data', 'ca.crt'),
    ...flags,
  ]
  const authorized = (...flags: string[]) => trusting('-H', `Authorization: Bearer ${token}`, ...flags)
  const json = ['-H', 'Content-Type: application/json']
  /** The last line is the status, the rest is the body. */
  async function ask(flags: string[]) {
    const { code, output } = await run('curl', [...flags, '-w', '\n%{http_code}'])
    assert.equal(code, 0, output)
    const [status, ...body] = output.split('\n').reverse()
    const text = body.reverse().join('\n')
    return { status: Number(status), body: text === '' ? null : JSON.parse(text) }
  }

  it('adds a device, enrolls it with a request from a file, and revokes what was issued', async () => {
    const added = await ask(
      authorized(...json, '-d', '{"id":"pump-1","groups":["pumps"]}', url('/v1/devices')),
    )
    assert.deepEqual([added.status, added.body.state, added.body.groups], [201, 'registered', ['pumps']])
    const csr = await makeRequest('pump-1', await makeKey('p256'), 'p256')
    writeFileSync(world.at('body.json'), JSON.stringify({ csr }))
    const body = ['-d', `@${world.at('body.json')}`]
    const issued = await ask(authorized(...json, ...body, url('/v1/devices/pump-1/certificates')))
    assert.deepEqual([issued.status, issued.body.status, issued.body.chain.length], [201, 'issued', 1])
    const path = `/v1/certificates/${issued.body.fingerprint}/revoke`
    const revoked = await ask(authorized(...json, '-d', '{"reason":"cessationOfOperation"}', url(path)))
    assert.deepEqual([revoked.status, revoked.body.status], [200, 'revoked'])
    const why = await ask(authorized(url('/v1/devices/pump-1/admission')))
    assert.deepEqual([why.body.wouldBeAdmitted, why.body.reason], [false, 'certificate_revoked'])
  })

  it('is served many requests over one connection of HTTP/1.1', async () => {
    const urls = Array.from({ length: 20 }, () => url('/v1/whoami'))
    const { code, output } = await run(
      'curl',
      authorized('--http2', '-w', '\n%{http_version} %{num_connects}\n', ...urls),
    )
    assert.equal(code, 0, output)
    const seen = output.split('\n').filter(line => /^1\.1 \d+$/.test(line))
    assert.deepEqual(seen, ['1.1 1', ...Array(19).fill('1.1 0')])
  })

  it('is answered 401 without a token and with a wrong one, with a problem that says what to do', async () => {
    const cases: [string[], string][] = [
      [trusting(), 'token_missing'],
      [trusting('-H', 'Authorization: Bearer wrong'), 'token_refused'],
      [trusting('-H', `Authorization: Bearer ${token}x`), 'token_refused'],
      [trusting('-u', `admin:${token}`), 'token_missing'],
    ]
    for (const [flags, reason] of cases) {
      const { status, body } = await ask([...flags, url('/v1/devices')])
      assert.deepEqual([status, body.reason, body.status], [401, reason, 401])
      assert.ok(body.hint.length > 10 && body.requestId)
    }
    const headers = await run('curl', trusting('-i', url('/v1/devices')))
    assert.match(headers.output, /^HTTP\/1\.1 401/)
    assert.match(headers.output, /^content-type: application\/problem\+json/im)
    assert.match(headers.output, /^www-authenticate: Bearer/im)
  })

  it('does not talk to a service whose CA it does not know', async () => {
    const { code } = await run('curl', ['-sS', '-H', `Authorization: Bearer ${token}`, url('/v1/whoami')])
    assert.equal(code, 60)
    const leaf = world.at('data', 'server.crt')
    const wrong = await run('curl', [
      '-sS',
      '--cacert',
      leaf,
      url('/v1/whoami').replace('127.0.0.1', '127.0.0.2'),
    ])
    assert.notEqual(wrong.code, 0)
  })

  it('is spoken to over TLS 1.2 and 1.3 only, and not at all in plain HTTP', async () => {
    for (const version of ['1.2', '1.3']) {
      const { status } = await ask(authorized(`--tlsv${version}`, '--tls-max', version, url('/v1/whoami')))
      assert.equal(status, 200)
    }
    const old = ['--tlsv1.1', '--tls-max', '1.1', '--ciphers', 'ALL@SECLEVEL=0']
    assert.equal((await run('curl', authorized(...old, url('/v1/whoami')))).code, 35)
    const cbc = ['--tls-max', '1.2', '--ciphers', 'ECDHE-ECDSA-AES128-SHA256']
    assert.equal((await run('curl', authorized(...cbc, url('/v1/whoami')))).code, 35)
    const plain = await run('curl', authorized(url('/v1/whoami').replace('https:', 'http:')))
    assert.notEqual(plain.code, 0)
  })

  it('reads the description of the API and the health of the service without a token', async () => {
    const { status, body } = await ask(trusting(url('/openapi.json')))
    assert.deepEqual([status, body.openapi.slice(0, 3)], [200, '3.1'])
    assert.match(
      (await run('curl', trusting('-o', '/dev/null', '-w', '%{http_code}', '-L', url('/docs')))).output,
      /^200$/,
    )
    for (const path of ['/livez', '/readyz']) {
      assert.equal(
        (await run('curl', trusting('-o', '/dev/null', '-w', '%{http_code}', url(path)))).output,
        '200',
      )
    }
    assert.equal((await run('curl', ['-sS', `${system.ready.admin}/readyz`])).output, 'ready\n')
  })
})
