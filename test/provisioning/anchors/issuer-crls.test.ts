// CRLs of trust anchors through the API: what is listed is refused and comes back when it is released, what is no whole
// and newest truth of that very CA is not believed, and a late one keeps nobody out.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { toPem } from '../../../pki/pem.ts'
import { assertProblem, type Service, signedBy, startService } from '../harness.ts'
import { type CrlAuthority, makeCrlAuthority } from './crl-authority.ts'

async function trusting(service: Service, pki: CrlAuthority): Promise<string> {
  const { body, text } = await service.call('POST', '/v1/issuers', { certificate: pki.ca.certificate })
  assert.ok(body.id, text)
  return body.id
}

const upload = (service: Service, id: string, der: Buffer) =>
  service.call('PUT', `/v1/issuers/${id}/crl`, { crl: toPem(der, 'X509 CRL') })

async function register(service: Service, pki: CrlAuthority, deviceId: string, serial: string) {
  await service.call('POST', '/v1/devices', { id: deviceId })
  const certificate = pki.issue(`/CN=${deviceId}`, serial)
  const answer = await service.call('POST', `/v1/devices/${deviceId}/certificates`, { certificate })
  assert.equal(answer.status, 201, answer.text)
}

const reasonOf = async (service: Service, deviceId: string) =>
  (await service.call('GET', `/v1/devices/${deviceId}/admission`)).body.reason

test('what a CRL lists is refused, what the next one lists no more is admitted again', async () => {
  await using service = await startService()
  using pki = makeCrlAuthority()
  const id = await trusting(service, pki)
  await register(service, pki, 'a', '00AB')
  await register(service, pki, 'b', '7FFF')
  assert.equal((await service.call('GET', `/v1/issuers/${id}/crl`)).body.crl, null)

  const first = await upload(service, id, pki.crl({ AB: 'cessationOfOperation', '1234': '' }))
  assert.equal(first.status, 200, first.text)
  assert.deepEqual([first.body.crl.entries, first.body.crl.number, first.body.stale], [2, '1000', false])
  assert.equal(typeof first.body.receipt.epoch, 'number')
  assert.deepEqual(
    [await reasonOf(service, 'a'), await reasonOf(service, 'b')],
    ['certificate_revoked_by_issuer', null],
  )

  const held = pki.crl({ AB: 'cessationOfOperation', '7FFF': 'certificateHold' })
  assert.equal((await upload(service, id, held)).status, 200)
  assert.equal(await reasonOf(service, 'b'), 'certificate_revoked_by_issuer')
  const again = await upload(service, id, held)
  assert.deepEqual([again.status, again.body.receipt], [200, null])

  const released = pki.crl({ AB: 'cessationOfOperation' })
  assert.equal((await upload(service, id, released)).status, 200)
  assert.deepEqual(
    [await reasonOf(service, 'a'), await reasonOf(service, 'b')],
    ['certificate_revoked_by_issuer', null],
  )
  const older = await upload(service, id, held)
  assertProblem(older, 409, 'crl_outdated')
  const empty = await service.call('PUT', `/v1/issuers/${id}/crl`, undefined, {
    raw: 'not a crl',
    headers: { 'content-type': 'application/pkix-crl' },
  })
  assertProblem(empty, 400, 'crl_invalid')
  const same = await upload(service, id, pki.crl({ AB: 'superseded' }))
  assert.equal(same.body.receipt, null, 'the same certificates are revoked')
  const { body } = await service.call('GET', `/v1/audit?action=issuer.crl&target=${id}&limit=2&order=oldest`)
  assert.deepEqual([body.items[0].detail.revoked, body.items[1].detail.revoked], [2, 1])
})

test('a CRL that is not the whole truth of this very CA is refused with the reason, and changes nothing', async t => {
  await using service = await startService()
  using pki = makeCrlAuthority()
  using other = makeCrlAuthority()
  const id = await trusting(service, pki)
  await register(service, pki, 'a', 'AB')
  await upload(service, id, pki.crl({ AB: '' }))
  const good = pki.crl({})
  const flipped = Buffer.from(good)
  flipped[flipped.length - 3]! ^= 1
  const dated = Buffer.from(good)
  dated.write('4', dated.indexOf('Z') - 12)
  const issuing = (value: string) => `issuingDistributionPoint=critical,@p\n[p]\n${value}`
  const rows: [string, Buffer, RegExp][] = [
    ['another CA of the same name', other.crl({}), /did not sign it/],
    ['a broken signature', flipped, /did not sign it/],
    ['a changed time', dated, /did not sign it/],
    ['bytes behind it', Buffer.concat([good, Buffer.from([5, 0])]), /no CRL in DER/],
    ['half of it', good.subarray(0, good.length / 2), /no CRL in DER/],
    [
      'a certificate',
      new X509Certificate(pki.ca.certificate).raw,
      /not accepted|no CRL|did not sign|not the one/,
    ],
    ['an indefinite length', Buffer.from('3080020100', 'hex'), /no CRL in DER/],
    ['a thousand nested sequences', Buffer.from('30'.padEnd(4_000, '8230'), 'hex'), /no CRL/],
    [
      'a delta CRL',
      pki.crl({}, { extensions: 'deltaCRL=critical,ASN1:INTEGER:1\n2.5.29.27=critical,ASN1:INTEGER:1' }),
      /delta/,
    ],
    ['an indirect CRL', pki.crl({}, { extensions: issuing('indirectCRL=TRUE') }), /indirectCRL.*indirect/],
    [
      'one for some reasons',
      pki.crl({}, { extensions: issuing('onlysomereasons=keyCompromise') }),
      /onlySomeReasons.*some reasons/,
    ],
    [
      'one about CAs',
      pki.crl({}, { extensions: issuing('onlyCA=TRUE') }),
      /onlyContainsCACerts.*not about the certificates of devices/,
    ],
    [
      'an unknown critical extension',
      pki.crl({}, { extensions: '1.2.3.4=critical,ASN1:NULL' }),
      /1\.2\.3\.4/,
    ],
    [
      'one about attribute certificates',
      pki.crl({}, { extensions: issuing('onlyAA=TRUE') }),
      /onlyContainsAttributeCerts/,
    ],
    [
      'one about a part',
      pki.crl({}, { extensions: issuing('fullname=URI:http://example.net/1.crl') }),
      /distributionPoint http:\/\/example.net\/1.crl.*of device a, which names no such point/,
    ],
    [
      'one whose name is relative',
      pki.crl({}, { extensions: `${issuing('relativename=n')}\n[n]\nCN=shard` }),
      /distributionPoint: it names no URI/,
    ],
  ]
  for (const [name, der, words] of rows) {
    await t.test(name, async () => {
      const answer = await upload(service, id, der)
      assert.ok([400, 409].includes(answer.status), answer.text)
      assert.match(answer.body.detail, words)
      assert.equal(await reasonOf(service, 'a'), 'certificate_revoked_by_issuer')
    })
  }
  await t.test('a private key with it', async () => {
    const text = toPem(good, 'X509 CRL') + pki.ca.key
    assertProblem(await service.call('PUT', `/v1/issuers/${id}/crl`, { crl: text }), 400, 'crl_invalid')
  })
  await t.test('for a CA of this service, or of nobody', async () => {
    const root = fingerprintOf(new X509Certificate(service.ca).raw)
    assertProblem(await upload(service, root, good), 409, 'issuer_own')
    assertProblem(await service.call('GET', `/v1/issuers/${root}/crl`), 409, 'issuer_own')
    assertProblem(await upload(service, 'e'.repeat(64), good), 404, 'issuer_unknown')
  })
  await t.test('as a body of a route that takes none', async () => {
    const headers = { 'content-type': 'application/pkix-crl' }
    const answer = await service.call('POST', '/v1/devices', undefined, { raw: 'x', headers })
    assertProblem(answer, 415, 'media_type_unsupported')
  })
})

test('a CRL of one shard counts only for certificates that name its distribution point, and never as the whole', async () => {
  await using service = await startService()
  using pki = makeCrlAuthority()
  const id = await trusting(service, pki)
  const point = (shard: number) => `http://crl.example.net/${shard}.crl`
  const naming = (shard: number) => `crlDistributionPoints=URI:${point(shard)}`
  const shard = (listed: Record<string, string>, more = '') =>
    pki.crl(listed, {
      extensions: `issuingDistributionPoint=critical,@p\n[p]\nfullname=URI:${point(1)}\n${more}`,
    })
  const add = async (deviceId: string, serial: string, extensions: string) => {
    await service.call('POST', '/v1/devices', { id: deviceId })
    const certificate = pki.issue(`/CN=${deviceId}`, serial, extensions)
    return service.call('POST', `/v1/devices/${deviceId}/certificates`, { certificate })
  }
  assert.equal((await add('a', 'A1', naming(1))).status, 201)
  assert.equal((await upload(service, id, shard({ A1: '' }, 'onlyuser=TRUE'))).status, 200)
  assert.equal(await reasonOf(service, 'a'), 'certificate_revoked_by_issuer')

  // What no list in force tells of does not come on the roll under this CA, chained or pinned.
  for (const [deviceId, extensions] of [
    ['b', naming(2)],
    ['c', ''],
    ['d', `crlDistributionPoints=d\n[d]\nfullname=URI:${point(1)}\nreasons=keyCompromise`],
  ] as const) {
    const refused = await add(deviceId, `B${deviceId}`, extensions)
    assertProblem(refused, 400, 'certificate_invalid')
    assert.match(refused.text, /crlDistributionPoints/)
  }
  const pinned = { certificate: pki.issue('/CN=b', 'BF', naming(2)), trust: 'pinned' }
  assertProblem(await service.call('POST', '/v1/devices/b/certificates', pinned), 400, 'certificate_invalid')
  const certificate = signedBy(pki.ca, '/CN=Sub', 'basicConstraints=CA:TRUE\nkeyUsage=keyCertSign,cRLSign', [
    ...['-days', '30', '-set_serial', '0x0C'],
  ])
  assertProblem(await service.call('POST', '/v1/issuers', { certificate }), 400, 'issuer_invalid')
})

test('a CRL of one shard is refused once certificates of another are on the roll, and so is one of end entities above a CA', async () => {
  await using service = await startService()
  using pki = makeCrlAuthority()
  const id = await trusting(service, pki)
  await register(service, pki, 'a', 'A1')
  const shard = 'issuingDistributionPoint=critical,@p\n[p]\nfullname=URI:http://crl.example.net/1.crl'
  const refused = await upload(service, id, pki.crl({}, { extensions: shard }))
  assertProblem(refused, 400, 'crl_invalid')
  assert.match(refused.body.detail, /distributionPoint .*certificate [0-9a-f]{64} of device a/)
  const users = 'issuingDistributionPoint=critical,@p\n[p]\nonlyuser=TRUE'
  const certificate = signedBy(pki.ca, '/CN=Sub', 'basicConstraints=CA:TRUE\nkeyUsage=keyCertSign,cRLSign', [
    ...['-days', '30', '-set_serial', '0x0C'],
  ])
  assert.equal((await service.call('POST', '/v1/issuers', { certificate })).status, 201)
  const above = await upload(service, id, pki.crl({}, { extensions: users }))
  assertProblem(above, 400, 'crl_invalid')
  assert.match(above.body.detail, /onlyContainsUserCerts.*a CA below/)
  assert.equal((await service.call('GET', `/v1/issuers/${id}/crl`)).body.crl, null)
})

test('a CRL past its next update stays in force, is told of, and keeps nobody out', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now, crlLookMs: 20 })
  using pki = makeCrlAuthority()
  const id = await trusting(service, pki)
  await register(service, pki, 'a', 'AB')
  await register(service, pki, 'b', 'AC')
  await upload(service, id, pki.crl({ AB: '' }, { days: 1 }))
  const stale = async () => {
    const gauge = /^rollcall_issuer_crls_stale (\d)/m.exec(await service.running.metrics())
    return [(await service.call('GET', `/v1/issuers/${id}/crl`)).body.stale, gauge?.[1]]
  }
  assert.deepEqual(await stale(), [false, '0'])
  now += 25 * 3_600_000
  for (const deadline = performance.now() + 20_000; (await stale())[1] !== '1'; )
    assert.ok(performance.now() < deadline)
  assert.deepEqual(await stale(), [true, '1'])
  assert.deepEqual(
    [await reasonOf(service, 'a'), await reasonOf(service, 'b')],
    ['certificate_revoked_by_issuer', null],
  )
  const { status, body } = await service.call('GET', '/readyz')
  assert.deepEqual([status, body], [200, { status: 'ready', warnings: ['issuer_crl_stale'] }])
})

test('a CA that the CRL above it lists admits nobody, whichever of the two was there first', async () => {
  await using service = await startService()
  using root = makeCrlAuthority('Root')
  const id = await trusting(service, root)
  const certificate = signedBy(root.ca, '/CN=Sub', 'basicConstraints=CA:TRUE\nkeyUsage=keyCertSign,cRLSign', [
    ...['-days', '30', '-set_serial', '0x0C'],
  ])
  await upload(service, id, root.crl({ '0C': 'cessationOfOperation' }))
  const added = await service.call('POST', '/v1/issuers', { certificate })
  assert.equal(added.body.parentId, id, added.text)
  assert.equal((await service.call('GET', `/v1/issuers/${added.body.id}`)).body.revoked, true)
  await upload(service, id, root.crl({}))
  assert.equal((await service.call('GET', `/v1/issuers/${added.body.id}`)).body.revoked, false)
})
