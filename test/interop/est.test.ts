// An EST client that is not ours: strongSwan's `pki --estca` and `pki --est`. It reads the head of an answer in one kilobyte,
// wants a Content-Length, and judges the server's certificate by the real clock.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pemBlocks } from '../../pki/pem.ts'
import { DAY_MS } from '../../provisioning/ca/profile.ts'
import { run, start } from '../e2e/mosquitto.ts'
import { makeCsr, type Service, startService, temporaryDirectory } from '../provisioning/harness.ts'

describe("strongSwan's pki", () => {
  const folder = temporaryDirectory()
  const at = (name: string) => join(folder.path, name)
  const write = (name: string, content: string | Buffer) => {
    writeFileSync(at(name), content)
    return at(name)
  }
  // Enrolled two months ago, so that it is time to renew now.
  let behindMs = 61 * DAY_MS
  let service: Service
  before(async () => {
    service = await startService({ now: () => Date.now() - behindMs })
    write('ca.crt', service.ca)
  })
  after(async () => {
    await service[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  })

  const trusting = () => ['--url', service.url, '--cacert', at('ca.crt')]
  async function tokenFor(order: object): Promise<string> {
    return (await service.call('POST', '/v1/enrollment-tokens', order)).body.token
  }
  function leafIn(output: string): X509Certificate {
    return new X509Certificate(pemBlocks(output, 'CERTIFICATE')[0]!)
  }
  async function enroll(...flags: string[]): Promise<{ code: number | null; output: string }> {
    return run('pki', ['--est', ...trusting(), '--outform', 'pem', ...flags])
  }

  it('fetches the CA certificates and finds them trusted', async () => {
    const flags = ['--caout', at('fetched.pem'), '--outform', 'pem', '--force']
    const { code, output } = await run('pki', ['--estca', ...trusting(), ...flags])
    assert.equal(code, 0, output)
    assert.match(output, /Root CA cert is trusted/)
    assert.match(output, /Sub CA cert is trusted/)
    assert.equal(leafIn(readFileSync(at('fetched.pem'), 'utf8')).subject, 'CN=Rollcall root CA')
  })

  it('enrolls with a one-time token and a request of its own making', async () => {
    const made = await run('pki', ['--gen', '--type', 'ecdsa', '--size', '256', '--outform', 'pem'])
    write('own.key', made.output.slice(made.output.indexOf('-----BEGIN')))
    const flags = ['--type', 'ecdsa', '--dn', 'CN=whoever', '--outform', 'pem']
    const request = await run('pki', ['--req', '--in', at('own.key'), ...flags])
    const csr = write('own.csr', request.output.slice(request.output.indexOf('-----BEGIN')))
    const token = await tokenFor({ group: 'pumps' })
    const wrong = await enroll('--in', csr, '--userpass', `pump-1:${token.replace(/.$/, '~')}`)
    assert.match(wrong.output, /EST request failed: HTTP 401/)
    const { code, output } = await enroll('--in', csr, '--userpass', `pump-1:${token}`)
    assert.equal(code, 0, output)
    assert.equal(leafIn(output).subject, 'CN=pump-1')
    const [listed] = (await service.call('GET', '/v1/certificates?deviceId=pump-1')).body.items
    assert.equal(leafIn(output).fingerprint256.replaceAll(':', '').toLowerCase(), listed.fingerprint)
  })

  it('renews with its certificate and another key', async () => {
    behindMs = 61 * DAY_MS
    const first = makeCsr('p256')
    const issued = await service.enroll('pump-2', first.csr)
    behindMs = 0
    const next = makeCsr('p256', [
      '-subj',
      '/CN=pump-2',
      '-addext',
      'subjectAltName=URI:urn:rollcall:device:pump-2',
    ])
    const identity = [
      '--cert',
      write('device.crt', issued.certificate),
      '--key',
      write('device.key', first.key),
    ]
    const { code, output } = await enroll('--in', write('next.csr', next.csr), ...identity)
    assert.equal(code, 0, output)
    const renewed = leafIn(output)
    assert.notEqual(renewed.fingerprint256, new X509Certificate(issued.certificate).fingerprint256)
    const { items } = (await service.call('GET', '/v1/certificates?deviceId=pump-2')).body
    assert.equal(items.length, 2)
    const misnamed = await enroll('--in', write('other.csr', makeCsr('p256').csr), ...identity)
    assert.match(misnamed.output, /EST request failed: HTTP 400/)
  })

  it('waits while an operator has not decided, and then gets its certificate', async () => {
    behindMs = 0
    const token = await tokenFor({ group: 'pumps', approval: true })
    const flags = ['--in', write('waits.csr', makeCsr('p256').csr), '--userpass', `pump-3:${token}`]
    const waiting = start('pki', ['--est', ...trusting(), '--outform', 'pem', ...flags])
    await waiting.printed('EST request pending, polling indefinitely every 60 seconds')
    await waiting.stop('SIGKILL')
    const [pending] = (await service.call('GET', '/v1/certificates?status=pending')).body.items
    await service.call('POST', `/v1/certificates/${pending.fingerprint}/approve`)
    const { code, output } = await enroll(...flags)
    assert.equal(code, 0, output)
    assert.equal(leafIn(output).subject, 'CN=pump-3')
  })
})
