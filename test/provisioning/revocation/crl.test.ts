// The CRL as a relying party meets it: found through the certificate, verified by openssl, in step with the record.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createEntryList } from '../../../provisioning/revocation/crl.ts'
import { until } from '../../cli/running.ts'
import { makeCsr, openssl, sample, startService, temporaryDirectory } from '../harness.ts'
import { crlText, fetchCrl, pointersOf, printedSerial, relyingParty } from './status.ts'

const DAY_MS = 86_400_000

function numberOf(text: string): number {
  return Number.parseInt(/X509v3 CRL Number: \s*(\w+)/.exec(text)?.[1] ?? '', 16)
}

test('a certificate names its CRL and its issuer, and both are served as DER with what caches need', async () => {
  await using service = await startService()
  const issued = await service.enroll('pump-1')
  await service.running.makeCrls()
  const { crl, issuer } = pointersOf(issued.certificate)
  assert.ok(crl.startsWith(service.running.statusUrl))
  const answer = await fetch(crl)
  assert.equal(answer.headers.get('content-type'), 'application/pkix-crl')
  assert.match(answer.headers.get('cache-control') ?? '', /^max-age=300, public, /)
  const ends = Date.parse(answer.headers.get('expires') ?? '')
  assert.ok(ends > Date.now() + DAY_MS / 2 && ends <= Date.now() + DAY_MS)
  assert.match(crlText(Buffer.from(await answer.arrayBuffer())), /No Revoked Certificates/)
  for (const headers of [
    { 'if-none-match': answer.headers.get('etag') ?? '' },
    { 'if-none-match': `"x", W/${answer.headers.get('etag')}` },
    { 'if-modified-since': answer.headers.get('last-modified') ?? '' },
  ])
    assert.equal((await fetch(crl, { headers })).status, 304)
  assert.equal((await fetch(crl, { headers: { 'if-none-match': '"other"' } })).status, 200)
  const head = await fetch(crl, { method: 'HEAD' })
  assert.deepEqual([head.status, await head.text()], [200, ''])
  const certificate = await fetch(issuer)
  assert.equal(certificate.headers.get('content-type'), 'application/pkix-cert')
  const pem = openssl(['x509', '-inform', 'DER'], Buffer.from(await certificate.arrayBuffer()) as never)
  assert.equal(pem, issued.chain[0])
  for (const path of [
    '/',
    '/crl/0000000000000000.crl',
    '/crl/../keys/issuing.key',
    '/ca/x.crt',
    '/v1/devices',
  ])
    assert.equal((await fetch(`${service.running.statusUrl}${path}`)).status, 404, path)
  assert.equal((await fetch(crl, { method: 'DELETE' })).status, 405)
})

test('openssl verify -crl_check agrees with the record through revocation, hold and its end', async () => {
  await using service = await startService()
  using party = relyingParty(service)
  const [kept, held, lost, gone] = await Promise.all(
    ['kept', 'held', 'lost', 'gone'].map(id => service.enroll(id)),
  )
  const move = async (path: string, body?: unknown) =>
    assert.equal((await service.call('POST', path, body)).status, 200, path)
  await move(`/v1/certificates/${lost.fingerprint}/revoke`, { reason: 'keyCompromise' })
  await move('/v1/devices/held/suspend')
  await move('/v1/devices/gone/decommission')
  await service.running.makeCrls()
  const text = crlText(await fetchCrl(kept.certificate))
  const listed = (pem: string) =>
    new RegExp(`Serial Number: ${printedSerial(pem)}[\\s\\S]*?Code: \\s*([\\w ]+)`).exec(text)?.[1]
  assert.equal(listed(kept.certificate), undefined)
  assert.equal(listed(lost.certificate), 'Key Compromise')
  assert.equal(listed(held.certificate), 'Certificate Hold')
  assert.equal(listed(gone.certificate), 'Cessation Of Operation')
  assert.equal((await party.verify(kept)).code, 0)
  for (const out of [lost, held, gone]) assert.match((await party.verify(out)).output, /certificate revoked/)
  await move('/v1/devices/held/activate')
  await service.running.makeCrls()
  assert.equal((await party.verify(held)).code, 0)
  assert.ok(numberOf(crlText(await fetchCrl(kept.certificate))) > numberOf(text))
})

test('a claim certificate is good until it is revoked, and on the list from then on', async () => {
  await using service = await startService()
  using party = relyingParty(service)
  const { csr } = makeCsr('p256')
  const made = await service.call('POST', '/v1/claims', { name: 'line-1', csr, quota: 5, days: 10 })
  assert.equal(made.status, 201, made.text)
  await service.running.makeCrls()
  assert.equal((await party.verify(made.body)).code, 0)
  assert.equal((await service.call('POST', `/v1/claims/${made.body.id}/revoke`)).status, 200)
  await service.running.makeCrls()
  assert.match((await party.verify(made.body)).output, /certificate revoked/)
})

test('a revocation is on the list within seconds by itself, many of them on one list', async () => {
  await using service = await startService()
  const devices = await Promise.all(Array.from({ length: 5 }, (_, at) => service.enroll(`pump-${at}`)))
  await service.running.makeCrls()
  const before = await sample(service, 'rollcall_crls_made_total')
  const began = performance.now()
  for (const { fingerprint } of devices)
    await service.call('POST', `/v1/certificates/${fingerprint}/revoke`, {})
  let text = ''
  await until(async () => {
    text = crlText(await fetchCrl(devices[0].certificate))
    return text.split('Serial Number:').length === 6
  }, 'all five are listed')
  // The record is looked at once a second: a list for each would be five at once.
  const looks = 2 + (performance.now() - began) / 1_000
  assert.ok((await sample(service, 'rollcall_crls_made_total')) <= before + looks)
  assert.doesNotMatch(text, /Reason Code/, 'unspecified is left out')
})

test('numbers only grow, over restarts, lost files and a restored registry; an unchanged list is served again as it was', async () => {
  using folder = temporaryDirectory()
  const crls = join(folder.path, 'crl')
  async function round(): Promise<{ number: number; der: Buffer }> {
    await using service = await startService({ data: folder.path })
    const pem = openssl(['x509', '-in', join(folder.path, 'server.crt')])
    await service.running.makeCrls()
    // Another start has another port.
    const { pathname } = new URL(pointersOf(pem).crl)
    const answer = await fetch(`${service.running.statusUrl}${pathname}`)
    const der = Buffer.from(await answer.arrayBuffer())
    return { number: numberOf(crlText(der)), der }
  }
  const first = await round()
  assert.deepEqual(await round(), first)
  for (const file of readdirSync(crls)) rmSync(join(crls, file))
  const third = await round()
  assert.ok(third.number > first.number)
  const registry = join(folder.path, 'registry.db')
  const older = readFileSync(registry)
  for (const file of readdirSync(crls)) writeFileSync(join(crls, file), 'half a lis')
  const fourth = await round()
  assert.ok(fourth.number > third.number)
  // The list that was served last is known to nobody here any more.
  writeFileSync(registry, older)
  assert.ok((await round()).number > fourth.number)
})

test('kill -9 while lists are made: no number is ever served for two lists, and the next start has them all', async () => {
  using folder = temporaryDirectory()
  const program = new URL('./fixtures/busy-crl.ts', import.meta.url)
  const served = new Map<number, string>()
  for (const lists of [3, 5]) {
    const child = fork(program, [folder.path], { stdio: 'ignore' })
    const ended = once(child, 'exit')
    let count = 0
    child.on('message', ({ der }: { der: string }) => {
      const number = numberOf(crlText(Buffer.from(der, 'base64')))
      assert.equal(served.get(number) ?? der, der, `list ${number} was another one before`)
      served.set(number, der)
      count += 1
      // Wherever it is by then.
      if (count === lists) child.kill('SIGKILL')
    })
    await ended
    assert.ok(count >= lists)
  }
  await using service = await startService({ data: folder.path })
  const issued = await service.enroll('pump-1')
  await service.running.makeCrls()
  const text = crlText(await fetchCrl(issued.certificate))
  assert.ok(numberOf(text) >= Math.max(...served.keys()))
  assert.ok(text.split('Serial Number:').length > 8)
})

test('a list that is fetched while the next one is made is whole, and numbers never go back', async () => {
  await using service = await startService()
  const devices = await Promise.all(Array.from({ length: 6 }, (_, at) => service.enroll(`pump-${at}`)))
  await service.running.makeCrls()
  let busy = true
  const numbers: number[] = []
  const reader = (async () => {
    while (busy) numbers.push(numberOf(crlText(await fetchCrl(devices[0].certificate))))
  })()
  for (const { fingerprint } of devices) {
    const read = numbers.length
    await service.call('POST', `/v1/certificates/${fingerprint}/revoke`, {})
    await service.running.makeCrls()
    await until(() => numbers.length > read, 'a list is read on the way')
  }
  busy = false
  await reader
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  )
})

test('a list is made anew at half of its life, just then and not before, and where the clock stepped back', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const issued = await service.enroll('pump-1')
  const number = async () => {
    await service.running.makeCrls()
    return numberOf(crlText(await fetchCrl(issued.certificate)))
  }
  const first = await number()
  const began = now
  now = began + DAY_MS / 2 - 61_000
  assert.equal(await number(), first)
  now = began + DAY_MS / 2
  const second = await number()
  assert.ok(second > first)
  now = began - 120_000
  assert.ok((await number()) > second)
})

test('a certificate that has ended stays for one more list and goes then', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now, deviceDays: 1 })
  const issued = await service.enroll('pump-1')
  await service.call('POST', `/v1/certificates/${issued.fingerprint}/revoke`, {})
  const listed = async () => {
    await service.running.makeCrls()
    return !crlText(await fetchCrl(issued.certificate)).includes('No Revoked Certificates')
  }
  assert.equal(await listed(), true)
  now += 1.7 * DAY_MS
  assert.equal(await listed(), true)
  now += DAY_MS
  assert.equal(await listed(), false)
})

test('an entry copied from a template is the one that the library writes', () => {
  const der = (serialNumber: string, at: number) => {
    const list = createEntryList()
    list.add({ serialNumber, reason: 'keyCompromise', at })
    return list.der().toString('hex')
  }
  const at = Date.UTC(2031, 10, 12, 13, 14, 15)
  const copied = der(`41${'00'.repeat(18)}ff`, at)
  const written = der('41', at)
  assert.equal(
    copied.replace(`0214 41${'00'.repeat(18)}ff`.replaceAll(' ', ''), '020141').slice(4),
    written.slice(4),
  )
  assert.ok(
    der('5a'.repeat(20), Date.UTC(2050, 0, 1)).includes(Buffer.from('20500101000000Z').toString('hex')),
  )
  assert.ok(der('80', at).startsWith('30') && der('80', at).includes('02020080'))
})
