// The server certificate: issued and renewed by itself, shown without dropping a connection.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import { isServerName, SERVER_DAYS, serverNames } from '../../../provisioning/ca/server-certificate.ts'
import { startService, temporaryDirectory } from '../harness.ts'

const certificateIn = (directory: string) => new X509Certificate(readFileSync(join(directory, 'server.crt')))

function handshake(url: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { port: Number(new URL(url).port), host: '127.0.0.1', rejectUnauthorized: false },
      () => resolve(socket),
    )
    socket.on('error', reject)
  })
}

test('the server certificate is renewed at two thirds of its life, not before, without dropping a connection', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const first = certificateIn(service.directory)
  const key = readFileSync(join(service.directory, 'keys/server.key'), 'utf8')
  const begins = Date.parse(first.validFrom)
  const ends = Date.parse(first.validTo)
  const due = Math.ceil(begins + ((ends - begins) * 2) / 3)
  const old = await handshake(service.url)
  now = due - 1
  await service.running.renewServerCertificate()
  assert.equal(certificateIn(service.directory).fingerprint256, first.fingerprint256)
  now = due
  await service.running.renewServerCertificate()
  const second = certificateIn(service.directory)
  assert.notEqual(second.fingerprint256, first.fingerprint256)
  assert.equal(Date.parse(second.validTo), Math.floor((due + SERVER_DAYS * DAY_MS) / 1000) * 1000)
  assert.equal(readFileSync(join(service.directory, 'keys/server.key'), 'utf8'), key)
  const young = await handshake(service.url)
  assert.equal(young.getPeerX509Certificate()?.fingerprint256, second.fingerprint256)
  assert.equal(old.destroyed, false)
  const answered = new Promise<string>(resolve => old.once('data', part => resolve(part.toString())))
  old.write('GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n')
  assert.match(await answered, /^HTTP\/1\.1 200/)
  old.destroy()
  young.destroy()
  assert.equal((await service.call('GET', '/v1/whoami')).status, 200)
})

test('other names mean another certificate; the same names keep it', async () => {
  using folder = temporaryDirectory()
  const start = async (sans: string[]) => {
    await using _ = await startService({ data: folder.path, sans })
    return certificateIn(folder.path)
  }
  const plain = await start([])
  const named = await start(['broker.example', '2001:db8::7', '192.0.2.1'])
  assert.notEqual(named.fingerprint256, plain.fingerprint256)
  for (const host of ['broker.example', 'localhost']) assert.equal(named.checkHost(host), host)
  for (const address of ['2001:db8::7', '192.0.2.1', '127.0.0.1', '::1'])
    assert.equal(named.checkIP(address), address)
  assert.equal(
    (await start(['192.0.2.1', '2001:DB8:0::7', 'BROKER.example'])).fingerprint256,
    named.fingerprint256,
  )
  assert.equal((await start([])).checkHost('broker.example'), undefined)
})

test('an expired server certificate is replaced at start', async () => {
  using folder = temporaryDirectory()
  const at = async (now: number) => {
    await using _ = await startService({ data: folder.path, now: () => now })
    return certificateIn(folder.path)
  }
  const now = Date.now()
  const first = await at(now)
  const second = await at(now + 400 * DAY_MS)
  assert.notEqual(second.fingerprint256, first.fingerprint256)
  assert.ok(Date.parse(second.validTo) > now + 400 * DAY_MS)
})

test('the names of a server are its own, where it listens, and what was added; wildcards of listening are no names', () => {
  const names = serverNames('0.0.0.0', ['a.example', 'A.example'])
  assert.deepEqual(
    names.filter(name => name !== hostname().toLowerCase()),
    ['localhost', '127.0.0.1', '::1', 'a.example'],
  )
  assert.ok(serverNames('192.0.2.9', []).includes('192.0.2.9'))
  for (const name of ['', 'a b', 'a\0b', '-a', 'a..b', 'fe80::1%eth0', 'x'.repeat(254), 'http://a']) {
    assert.equal(isServerName(name), false, name)
  }
  for (const name of ['a', 'a-b.c_d', '*.example.com', '::', '10.0.0.1'])
    assert.equal(isServerName(name), true, name)
})
