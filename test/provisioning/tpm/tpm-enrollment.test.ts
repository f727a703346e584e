// Enrolling by a TPM: what vouches for it, which device it is, what is on record of it.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { createSoftwareTpm } from '../../../device-sim/enrollment/software-tpm.ts'
import { until } from '../../harness/until.ts'
import { makeCsr, type Service, startService } from '../harness.ts'
import {
  answer,
  challenge,
  deviceOf,
  documentsOf,
  enroll,
  type Maker,
  makerOf,
  reasonOf,
} from './tpm-devices.ts'

let service: Service
let maker: Maker
before(async () => {
  service = await startService({ failuresPerMinuteMax: 100_000 })
  maker = await makerOf(service)
})
after(() => service[Symbol.asyncDispose]())

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const hashOf = (tpm: ReturnType<typeof createSoftwareTpm>) =>
  createHash('sha256')
    .update(tpm.endorsement.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
const tokenFor = async (order: object) =>
  (await service.call('POST', '/v1/enrollment-tokens', order)).body.token
const shownTpm = async (id: string) => (await service.call('GET', `/v1/devices/${id}/endorsement-key`)).body

for (const type of ['p256', 'p384', 'rsa2048'] as const) {
  test(`a TPM of a trusted manufacturer with a ${type} endorsement key enrolls, and is the device of that key`, async () => {
    const device = await deviceOf(maker.ca, type)
    const first = await enroll(service, device)
    assert.equal(first.status, 201, first.bytes.toString())
    const ekHash = hashOf(device.tpm)
    assert.equal(first.body.deviceId, `tpm-${ekHash.slice(0, 32)}`)
    assert.equal(first.body.status, 'issued')
    assert.deepEqual((await service.call('GET', `/v1/devices/${first.body.deviceId}`)).body.groups, ['pumps'])
    const { endorsementKey, attestations } = await shownTpm(first.body.deviceId)
    assert.deepEqual(
      [
        endorsementKey.sha256,
        endorsementKey.vouchedBy,
        endorsementKey.issuerId,
        endorsementKey.maker,
        endorsementKey.model,
      ],
      [ekHash, 'maker', maker.id, 'IBM', 'swtpm'],
    )
    assert.equal(attestations.length, 1)
    assert.deepEqual([attestations[0].fingerprint, attestations[0].attested], [first.body.fingerprint, true])
    assert.deepEqual(attestations[0].keyAttributes, [
      'fixedTPM',
      'fixedParent',
      'sensitiveDataOrigin',
      'userWithAuth',
      'sign',
    ])
    assert.equal(attestations[0].keyName, device.key.name.toString('hex'))
    const explained = (await service.call('GET', `/v1/devices/${first.body.deviceId}/admission`)).body
    assert.deepEqual([explained.attestation.maker, explained.attestation.endorsementKey], ['IBM', ekHash])
    const again = await enroll(service, device)
    assert.equal(again.body.fingerprint, first.body.fingerprint, 'the same key, the same certificate')
    const other = await enroll(service, { ...device, key: device.tpm.createKey() })
    assert.equal(other.body.deviceId, first.body.deviceId, 'another key of the same TPM is the same device')
  })
}

test('challenge, activation and certificate are rows of one exchange', async () => {
  const device = await deviceOf(maker.ca)
  const { body } = await enroll(service, device)
  const { items } = (await service.call('GET', `/v1/audit?target=${body.deviceId}`)).body
  const activated = items.find((row: { action: string }) => row.action === 'tpm.activate')
  const { session } = activated.detail
  const asked = items.find((row: { action: string }) => row.action === 'tpm.challenge')
  assert.equal(asked.detail.session, session)
  assert.notEqual(asked.requestId, activated.requestId, 'each row names its request')
  assert.equal(activated.detail.endorsementKey, hashOf(device.tpm))
  assert.deepEqual([activated.detail.maker, activated.detail.vouchedBy], ['IBM', 'maker'])
  assert.equal(activated.actor, `tpm:${hashOf(device.tpm)}`)
  const issued = (await service.call('GET', `/v1/audit?target=${body.fingerprint}`)).body.items
  const issue = issued.find((row: { action: string }) => row.action === 'certificate.issue')
  assert.equal(issue.detail.session, session)
  assert.equal(issue.detail.serialNumber, activated.detail.serialNumber)
})

test('an endorsement key on record enrolls its device, with no certificate of anybody', async () => {
  const tpm = createSoftwareTpm()
  const key = tpm.createKey()
  assert.deepEqual(reasonOf(await enroll(service, { tpm, key })), [403, 'tpm_unknown'])
  await service.call('POST', '/v1/devices', { id: 'listed-1' })
  const set = await service.call('PUT', '/v1/devices/listed-1/endorsement-key', {
    endorsementKey: hashOf(tpm),
  })
  assert.deepEqual([set.status, set.body.endorsementKey.vouchedBy], [200, 'operator'])
  const enrolled = await enroll(service, { tpm, key })
  assert.deepEqual([enrolled.status, enrolled.body.deviceId], [201, 'listed-1'])
  assert.equal((await shownTpm('listed-1')).attestations[0].attested, true)
  const named = await enroll(service, { tpm, key }, { documents: { deviceId: 'pump-9' } })
  assert.deepEqual(reasonOf(named), [403, 'device_id_refused'])
  await service.call('POST', '/v1/devices', { id: 'listed-2' })
  const taken = await service.call('PUT', '/v1/devices/listed-2/endorsement-key', {
    endorsementKey: hashOf(tpm),
  })
  assert.deepEqual([taken.status, taken.body.reason], [409, 'endorsement_key_taken'])
  const off = await service.call('PUT', '/v1/devices/listed-1/endorsement-key', { endorsementKey: null })
  assert.deepEqual([off.body.endorsementKey, off.body.attestations[0].attested], [null, false])
  assert.deepEqual(reasonOf(await enroll(service, { tpm, key })), [403, 'tpm_unknown'])
})

test('a token and a TPM enroll the device of the token, which then is that TPM; attested it is not', async () => {
  await service.call('POST', '/v1/devices', { id: 'token-1' })
  const headers = bearer(await tokenFor({ deviceId: 'token-1' }))
  const tpm = createSoftwareTpm()
  const key = tpm.createKey()
  const enrolled = await enroll(service, { tpm, key }, { headers })
  assert.deepEqual([enrolled.status, enrolled.body.deviceId], [201, 'token-1'], enrolled.bytes.toString())
  const shown = await shownTpm('token-1')
  assert.deepEqual([shown.endorsementKey.vouchedBy, shown.attestations[0].attested], ['token', false])
  const later = await enroll(service, { tpm, key: tpm.createKey() })
  assert.deepEqual([later.status, later.body.deviceId], [201, 'token-1'], 'the TPM needs no token any more')
  const other = createSoftwareTpm()
  const stolen = bearer(await tokenFor({ deviceId: 'token-1' }))
  const second = await enroll(service, { tpm: other, key: other.createKey() }, { headers: stolen })
  assert.deepEqual(reasonOf(second), [409, 'endorsement_key_taken'], 'another TPM is another device')
  const group = bearer(await tokenFor({ group: 'pumps' }))
  const third = await enroll(
    service,
    { tpm: other, key: other.createKey() },
    { headers: group, documents: { deviceId: 'token-2' } },
  )
  assert.deepEqual([third.status, third.body.deviceId], [201, 'token-2'])
  assert.deepEqual((await service.call('GET', '/v1/devices/token-2')).body.groups, ['pumps'])
  const confirmed = await service.call('PUT', '/v1/devices/token-2/endorsement-key', {
    endorsementKey: hashOf(other),
  })
  assert.equal(confirmed.body.attestations[0].attested, true, 'an operator that knows the TPM may say so')
})

test('the challenge is answered with the token it was asked for with', async () => {
  const [one, two] = [await tokenFor({ group: 'pumps' }), await tokenFor({ group: 'pumps' })]
  const tpm = createSoftwareTpm()
  const key = tpm.createKey()
  for (const headers of [bearer(two), {}]) {
    const asked = await challenge(service, documentsOf(tpm, key, null, { deviceId: 'token-3' }), bearer(one))
    const secret = tpm.activate(key, Buffer.from(asked.body.credential, 'base64'))
    const refused = await answer(service, asked.body.session, secret, headers)
    assert.deepEqual(reasonOf(refused), [401, 'enrollment_token_refused'])
  }
  const wrong = await challenge(service, documentsOf(tpm, key, null), bearer('rce_nobody'))
  assert.deepEqual(reasonOf(wrong), [401, 'enrollment_token_refused'])
})

test('certificates wait for an operator where the manufacturer is set so', async () => {
  const { ca } = await makerOf(service, { mode: 'pending' })
  const device = await deviceOf(ca)
  const waits = await enroll(service, device)
  assert.deepEqual([waits.status, waits.headers['retry-after'], waits.body.status], [202, '60', 'pending'])
  await service.call('POST', `/v1/certificates/${waits.body.fingerprint}/approve`)
  const approved = await enroll(service, device)
  assert.deepEqual([approved.status, approved.body.fingerprint], [201, waits.body.fingerprint])
  assert.equal((await shownTpm(approved.body.deviceId)).attestations[0].attested, true)
  await service.call('POST', `/v1/devices/${approved.body.deviceId}/suspend`)
  const suspended = await enroll(service, { ...device, key: device.tpm.createKey() })
  assert.deepEqual(reasonOf(suspended), [409, 'device_state_forbids'])
})

test('two keys proven at once with one endorsement key: the second waits, and an event tells of a clone', async () => {
  const device = await deviceOf(maker.ca)
  const copy = { ...device, key: device.tpm.createKey() }
  const open = async (one: typeof device) => {
    const asked = await challenge(service, documentsOf(one.tpm, one.key, one.endorsement))
    return {
      session: asked.body.session,
      secret: one.tpm.activate(one.key, Buffer.from(asked.body.credential, 'base64')),
    }
  }
  const [first, second] = [await open(device), await open(copy)]
  assert.equal((await answer(service, first.session, first.secret)).status, 201)
  const waits = await answer(service, second.session, second.secret)
  assert.deepEqual([waits.status, waits.body.status], [202, 'pending'])
  const { items } = (await service.call('GET', `/v1/audit?action=tpm.clone&target=${waits.body.deviceId}`))
    .body
  assert.equal(items[0].detail.session, second.session)
  const path = `/v1/events?kind=cloned&device=${waits.body.deviceId}`
  const events = async () => (await service.call('GET', path)).body.items
  await until(async () => (await events()).length > 0)
  const [told] = await events()
  assert.deepEqual([told.reason, told.detail.how], ['certificate_cloned', 'endorsement_key'])
  const later = await enroll(service, copy)
  assert.equal(later.status, 202, 'asked again it still waits')
})

test('an import puts endorsement keys on record, once and for one device each', async () => {
  const tpms = [createSoftwareTpm(), createSoftwareTpm()]
  const [one = '', two = ''] = tpms.map(hashOf)
  const lines = async (...rows: object[]) => {
    const raw = rows.map(row => `${JSON.stringify(row)}\n`).join('')
    const headers = { 'content-type': 'application/x-ndjson' }
    const job = await service.call('POST', '/v1/jobs', undefined, {
      raw,
      headers: { ...headers, authorization: `Bearer ${service.token}` },
    })
    assert.equal(job.status, 202, job.text)
    await until(async () => (await service.call('GET', `/v1/jobs/${job.body.id}`)).body.state === 'done')
    const { text } = await service.call('GET', `/v1/jobs/${job.body.id}/results`)
    return text
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
  }
  const rows = [
    { deviceId: 'bulk-1', endorsementKey: one.toUpperCase() },
    { deviceId: 'bulk-2', endorsementKey: two },
  ]
  assert.deepEqual(
    (await lines(...rows)).map(row => row.outcome),
    ['registered', 'registered'],
  )
  assert.deepEqual(
    (await lines(...rows)).map(row => row.outcome),
    ['unchanged', 'unchanged'],
  )
  const refused = await lines(
    { deviceId: 'bulk-1', endorsementKey: 'f'.repeat(64) },
    { deviceId: 'bulk-3', endorsementKey: one },
    { deviceId: 'bulk-4', endorsementKey: 'zz' },
  )
  assert.deepEqual(
    refused.map(row => row.reason),
    ['device_differs', 'endorsement_key_taken', 'row_invalid'],
  )
  const key = tpms[1]!.createKey()
  const enrolled = await enroll(service, { tpm: tpms[1]!, key })
  assert.deepEqual([enrolled.status, enrolled.body.deviceId], [201, 'bulk-2'])
})

test('a policy that asks for the proof gives a topic to the certificate that a TPM proved, and to no other', async () => {
  const topics = [`proven/\${device.attested}/\${device.id}`]
  const document = { name: 'proven', statements: [{ effect: 'allow', actions: ['publish'], topics }] }
  await service.call('PUT', '/v1/policies/proven', document)
  await service.call('PUT', '/v1/policies/proven/attachments/everyone')
  const boundOf = async (id: string) => {
    const { statements } = (await service.call('GET', `/v1/devices/${id}/policy`)).body
    return statements.find((one: { policy: string }) => one.policy === 'proven').topics[0].bound
  }
  const device = await deviceOf(maker.ca)
  const { deviceId } = (await enroll(service, device)).body
  assert.equal(await boundOf(deviceId), `proven/tpm/${deviceId}`)
  await service.enroll('plain-1')
  assert.equal(await boundOf('plain-1'), null)
  await service.enroll(deviceId, makeCsr('p256').csr)
  assert.equal(await boundOf(deviceId), null, 'a later certificate that no TPM proved is not attested')
  await service.call('DELETE', '/v1/policies/proven/attachments/everyone')
})

test('an export has the endorsement keys that an operator put on record, and no other', async () => {
  const lines = (await service.call('GET', '/v1/export')).text.trim().split('\n')
  const devices: { deviceId: string; endorsementKey?: string }[] = lines.map(line => JSON.parse(line))
  const keyOf = (id: string) => devices.find(({ deviceId }) => deviceId === id)?.endorsementKey
  assert.match(keyOf('bulk-1') ?? '', /^[0-9a-f]{64}$/)
  assert.equal(keyOf('token-1'), undefined, 'an import would say that an operator knows it')
})
