// CMP as `openssl cmp` speaks it: enrolled by a token, renewed and revoked by the certificate or over mutual TLS, confirmed or not, after an approval.
import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import { until } from '../../harness/until.ts'
import { makeCsr, startService } from '../harness.ts'
import { createCmpClient } from './cmp-client.ts'

test('a device enrolls by ir with a token, gets the root with it, and confirms', async () => {
  await using service = await startService()
  using client = createCmpClient(service)
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const token = await client.token({ deviceId: 'pump-1' })
  const asked = ['-newkey', client.key('device.key'), '-subject', '/CN=pump-1']
  const outputs = ['-certout', 'device.crt', '-cacertsout', 'root.crt', '-chainout', 'chain.crt']
  const { code, output } = await client.run('ir', [...token, ...asked, ...outputs])
  assert.equal(code, 0, output)
  assert.match(output, /received IP[\s\S]*sending CERTCONF[\s\S]*received PKICONF/)
  const certificate = client.certificate('device.crt')
  assert.equal(certificate.subject, 'CN=pump-1')
  assert.ok(certificate.publicKey.equals(createPublicKey(readFileSync(client.at('device.key')))))
  assert.equal(client.certificate('root.crt').fingerprint256, new X509Certificate(service.ca).fingerprint256)
  assert.equal(client.certificate('chain.crt').subject, 'CN=Rollcall issuing CA')

  const { deviceId, status } = await client.onRoll('device.crt')
  assert.deepEqual([deviceId, status], ['pump-1', 'issued'])
  const rows = (await service.call('GET', '/v1/audit?target=pump-1')).body.items
  const actions = rows.map(({ action, actor }: { action: string; actor: string }) => `${action} ${actor}`)
  assert.ok(actions.includes(`certificate.intend enrollment-token:${token[1]}`), actions.join('\n'))

  // After a lost answer the same key gets the same certificate; another one nothing.
  const again = await client.run('ir', [...token, ...asked, '-certout', 'again.crt', '-implicit_confirm'])
  assert.equal(again.code, 0, again.output)
  assert.doesNotMatch(again.output, /CERTCONF/)
  assert.equal(client.certificate('again.crt').fingerprint256, certificate.fingerprint256)
  const other = ['-newkey', client.key('other.key'), '-subject', '/CN=pump-1', '-certout', 'other.crt']
  const refused = await client.run('ir', [...token, ...other])
  assert.equal(refused.code, 1)
  assert.match(refused.output, /PKIFailureInfo: notAuthorized; StatusString: "enrollment_token_used/)
  assert.ok(!client.has('other.crt'))
})

test('a certificate is on the roll when it is issued, whether it is confirmed or not', async () => {
  await using service = await startService()
  using client = createCmpClient(service)
  const token = await client.token({ group: 'pumps' })
  const asked = ['-newkey', client.key('device.key'), '-subject', '/CN=pump-9', '-certout', 'device.crt']
  const { code, output } = await client.run('ir', [...token, ...asked, '-disable_confirm'])
  assert.equal(code, 0, output)
  assert.doesNotMatch(output, /CERTCONF/)
  const { deviceId, status } = await client.onRoll('device.crt')
  assert.deepEqual(
    [deviceId, status],
    ['pump-9', 'issued'],
    'a token for a group leaves the name to the request',
  )
})

test('p10cr takes a PKCS #10 request, and says where it grants another subject', async () => {
  await using service = await startService()
  using client = createCmpClient(service)
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const token = await client.token({ deviceId: 'pump-1' })
  const { csr, key } = makeCsr('p256', ['-subj', '/CN=somebody'])
  client.write('request.csr', csr)
  client.write('device.key', key)
  const { code, output } = await client.run('p10cr', [
    ...token,
    '-csr',
    'request.csr',
    '-certout',
    'device.crt',
  ])
  assert.equal(code, 0, output)
  assert.match(
    output,
    /granted with modifications; StatusString: "the subject is that of the device on record"/,
  )
  assert.match(output, /received PKICONF/)
  assert.equal(client.certificate('device.crt').subject, 'CN=pump-1')
})

test('the address of a group takes what is for that group, and nothing else', async () => {
  await using service = await startService()
  using client = createCmpClient(service)
  const token = await client.token({ group: 'pumps' })
  const asked = [
    ...token,
    '-newkey',
    client.key('device.key'),
    '-subject',
    '/CN=pump-1',
    '-certout',
    'device.crt',
  ]
  const refused = await client.run('ir', asked, '/p/valves')
  assert.match(
    refused.output,
    /notAuthorized; StatusString: "what protects the message is not for the group valves"/,
  )
  const { code, output } = await client.run('ir', asked, '/p/pumps')
  assert.equal(code, 0, output)
  const certified = ['-cert', 'device.crt', '-key', 'device.key']
  const inform = ['-infotype', 'caCerts', ...certified]
  assert.equal((await client.run('genm', inform, '/p/pumps')).code, 0)
  assert.match((await client.run('genm', inform, '/p/valves')).output, /not for the group valves/)
})

test('kur and cr renew by the certificate, whether it signs the message or the handshake', async () => {
  let offset = -70 * DAY_MS
  await using service = await startService({ now: () => Date.now() + offset })
  using client = createCmpClient(service)
  for (const id of ['pump-1', 'pump-2', 'pump-3', 'pump-4']) {
    const { csr, key } = makeCsr('p256')
    const { certificate, chain } = await service.enroll(id, csr)
    client.write(`${id}.crt`, certificate)
    client.write('chain.crt', chain.join(''))
    client.write(`${id}.key`, key)
  }
  const early = await signed('kur', 'pump-1')
  assert.match(early.output, /StatusString: "renewal_too_early: it can be renewed from /)
  offset = 0

  function signed(command: string, id: string, more: string[] = []) {
    const newKey = ['-newkey', client.key('new.key'), '-certout', 'new.crt']
    return client.run(command, ['-cert', `${id}.crt`, '-key', `${id}.key`, ...newKey, ...more])
  }
  function overTls(command: string, id: string, more: string[] = []) {
    const newKey = ['-newkey', client.key('new.key'), '-certout', 'new.crt', '-subject', `/CN=${id}`]
    const shown = ['-tls_cert', `${id}.crt`, '-tls_key', `${id}.key`, '-tls_extra', 'chain.crt']
    return client.run(command, ['-unprotected_requests', ...shown, ...newKey, ...more])
  }
  await assertRenewed('pump-1', await signed('kur', 'pump-1'))
  await assertRenewed('pump-2', await signed('cr', 'pump-2', ['-subject', '/CN=pump-2']))
  await assertRenewed('pump-3', await overTls('kur', 'pump-3', ['-oldcert', 'pump-3.crt']))
  await assertRenewed('pump-4', await overTls('cr', 'pump-4'))

  async function assertRenewed(id: string, { code, output }: { code: number; output: string }) {
    assert.equal(code, 0, output)
    assert.match(output, /received PKICONF/)
    const { deviceId, status } = await client.onRoll('new.crt')
    assert.deepEqual([deviceId, status], [id, 'issued'])
    const { fingerprint256 } = client.certificate('new.crt')
    assert.notEqual(fingerprint256, client.certificate(`${id}.crt`).fingerprint256)
  }

  const others = await signed('kur', 'pump-1', ['-oldcert', 'pump-2.crt'])
  assert.match(others.output, /badCertId; StatusString: "oldCertId is not the certificate/)
  const renamed = await signed('kur', 'pump-2', ['-subject', '/CN=pump-9'])
  assert.match(renamed.output, /badCertTemplate; StatusString: "csr_names_changed: .*certTemplate.subject/)
  const again = await signed('ir', 'pump-1', ['-subject', '/CN=pump-1'])
  assert.match(again.output, /badRequest; StatusString: "ir is for a device that has no certificate of ours/)
})

test('rr revokes the certificate that protects it, by signature or over mutual TLS, and no other', async () => {
  await using service = await startService()
  using client = createCmpClient(service)
  for (const id of ['pump-1', 'pump-2', 'pump-3']) {
    const { csr, key } = makeCsr('p256')
    const { certificate, chain } = await service.enroll(id, csr)
    client.write(`${id}.crt`, certificate)
    client.write('chain.crt', chain.join(''))
    client.write(`${id}.key`, key)
  }
  const certified = ['-cert', 'pump-1.crt', '-key', 'pump-1.key']
  const other = await client.run('rr', [...certified, '-oldcert', 'pump-3.crt'])
  assert.match(other.output, /badCertId; StatusString: "certDetails is not the certificate/)
  // keyCompromise would end what the key obtained, a hold is a suspension.
  for (const reason of ['1', '6']) {
    const refused = await client.run('rr', [...certified, '-oldcert', 'pump-1.crt', '-revreason', reason])
    assert.match(refused.output, /badRequest; StatusString: "this reason is for an operator/)
  }
  assert.equal((await client.onRoll('pump-3.crt')).status, 'issued')

  const own = await client.run('rr', [...certified, '-oldcert', 'pump-1.crt', '-revreason', '5'])
  assert.equal(own.code, 0, own.output)
  assert.match(own.output, /revocation accepted/)
  const shown = ['-tls_cert', 'pump-2.crt', '-tls_key', 'pump-2.key', '-tls_extra', 'chain.crt']
  const tls = await client.run('rr', [
    ...['-unprotected_requests', ...shown, '-oldcert', 'pump-2.crt', '-subject', '/CN=pump-2'],
  ])
  assert.equal(tls.code, 0, tls.output)
  const [one, two] = [await client.onRoll('pump-1.crt'), await client.onRoll('pump-2.crt')]
  assert.deepEqual([one.status, one.revocationReason], ['revoked', 'cessationOfOperation'])
  assert.deepEqual([two.status, two.revocationReason], ['revoked', 'unspecified'])
  const rows = (await service.call('GET', '/v1/audit?action=certificate.revoke')).body.items
  assert.deepEqual(rows.map(({ actor }: { actor: string }) => actor).toSorted(), [
    'device:pump-1',
    'device:pump-2',
  ])
  const revoked = await client.run('rr', [...certified, '-oldcert', 'pump-1.crt'])
  assert.match(revoked.output, /signerNotTrusted; StatusString: "admission_refused: .*certificate_revoked/)
})

test('a request that needs approval waits, is polled for, and comes once an operator approves or rejects it', async () => {
  await using service = await startService({ cmpCheckAfterSeconds: 1 })
  using client = createCmpClient(service)
  const decided = async (deviceId: string, decision: 'approve' | 'reject') => {
    const certificates = async () =>
      (await service.call('GET', `/v1/certificates?deviceId=${deviceId}`)).body.items
    await until(async () => (await certificates()).length === 1)
    await service.call('POST', `/v1/certificates/${(await certificates())[0].fingerprint}/${decision}`)
  }
  const waiting = async (command: string, id: string, decision: 'approve' | 'reject') => {
    await service.call('POST', '/v1/devices', { id })
    const token = await client.token({ deviceId: id, approval: true })
    const { csr, key } = makeCsr('p256', ['-subj', `/CN=${id}`])
    client.write('request.csr', csr)
    client.write('device.key', key)
    const asked = ['-csr', 'request.csr', '-certout', `${id}.crt`]
    const [run] = await Promise.all([
      client.run(command, [...token, ...asked, ...(command === 'ir' ? ['-newkey', 'device.key'] : [])]),
      decided(id, decision),
    ])
    return run
  }
  for (const [command, id] of [
    ['ir', 'pump-1'],
    ['p10cr', 'pump-2'],
  ] as const) {
    const { code, output } = await waiting(command, id, 'approve')
    assert.equal(code, 0, output)
    assert.match(output, /received 'waiting' PKIStatus[\s\S]*sending POLLREQ[\s\S]*received PKICONF/)
    assert.equal(client.certificate(`${id}.crt`).subject, `CN=${id}`)
  }
  const { code, output } = await waiting('ir', 'pump-3', 'reject')
  assert.equal(code, 1)
  assert.match(output, /notAuthorized; StatusString: "enrollment_rejected: an operator decided against it"/)
})

test('CAs of every kind of key: openssl verifies their signatures and confirms by their hashes', async () => {
  for (const type of ['p384', 'rsa', 'ed25519'] as const) {
    let offset = -70 * DAY_MS
    await using service = await startService({
      keyTypes: { root: type, issuing: type },
      now: () => Date.now() + offset,
    })
    using client = createCmpClient(service)
    const { csr, key } = makeCsr('p256')
    const { certificate } = await service.enroll('pump-1', csr)
    client.write('old.crt', certificate)
    client.write('old.key', key)
    offset = 0
    const token = await client.token({ group: 'g' })
    const asked = ['-newkey', client.key('device.key'), '-subject', '/CN=pump-2', '-certout', 'device.crt']
    const byToken = await client.run('ir', [...token, ...asked])
    assert.match(byToken.output, /received PKICONF/, `${type}: ${byToken.output}`)
    const certified = ['-cert', 'old.crt', '-key', 'old.key', '-newkey', client.key('new.key')]
    const renewed = await client.run('kur', [...certified, '-certout', 'new.crt'])
    assert.match(renewed.output, /received PKICONF/, `${type}: ${renewed.output}`)
  }
})
