// What time and crashes do to enrollment by a TPM: kill -9 between the two requests, renewal, and TPMs that wait for an operator.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openForReading } from '../../../db/open.ts'
import { createSoftwareTpm } from '../../../device-sim/enrollment/software-tpm.ts'
import { ask } from '../device-requests.ts'
import { makeCsr, startService, temporaryDirectory } from '../harness.ts'
import {
  answer,
  certify,
  challenge,
  deviceOf,
  documentsOf,
  enroll,
  makerOf,
  reasonOf,
} from './tpm-devices.ts'

const DAY_MS = 86_400_000

test('kill -9 between the two requests: the challenge is gone, nothing is on record, and the device begins again', async () => {
  using folder = temporaryDirectory()
  const first = await startService({ data: folder.path, unknownTpms: 'pending' })
  await first[Symbol.asyncDispose]()
  const fixture = new URL('../fixtures/serving.ts', import.meta.url).pathname
  const env = { ...process.env, ROLLCALL_TPM_UNKNOWN: 'pending' }
  const child = spawn(process.execPath, [fixture, folder.path, '50'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env,
  })
  const url = await new Promise<string>(resolve =>
    child.stdout.once('data', text => resolve(String(text).trim())),
  )
  const ca = readFileSync(join(folder.path, 'ca.crt'), 'utf8')
  const tpm = createSoftwareTpm()
  const key = tpm.createKey()
  const asked = await challenge({ url, ca } as never, documentsOf(tpm, key, null))
  assert.equal(asked.status, 201)
  child.kill('SIGKILL')
  await new Promise(resolve => child.once('exit', resolve))

  const { sqlite } = openForReading(join(folder.path, 'registry.db'))
  const rows = sqlite
    .prepare("SELECT count(*) FROM audit WHERE action GLOB 'tpm.*' OR action = 'device.add'")
    .pluck()
  assert.equal(rows.get(), 0, 'an unanswered challenge leaves no trace')
  sqlite.close()
  await using service = await startService({ data: folder.path, unknownTpms: 'pending' })
  const secret = tpm.activate(key, Buffer.from(asked.body.credential, 'base64'))
  assert.deepEqual(reasonOf(await answer(service, asked.body.session, secret)), [404, 'tpm_session_unknown'])
  assert.equal((await enroll(service, { tpm, key })).status, 202)
})

test('a TPM that nothing vouches for waits for an operator each time, where the setting lets it', async () => {
  await using service = await startService({ unknownTpms: 'pending' })
  const tpm = createSoftwareTpm()
  const key = tpm.createKey()
  const waits = await enroll(service, { tpm, key })
  assert.deepEqual([waits.status, waits.body.status], [202, 'pending'])
  const shown = async () =>
    (await service.call('GET', `/v1/devices/${waits.body.deviceId}/endorsement-key`)).body
  assert.equal((await shown()).endorsementKey.vouchedBy, 'nobody')
  await service.call('POST', `/v1/certificates/${waits.body.fingerprint}/approve`)
  assert.equal((await enroll(service, { tpm, key })).status, 201)
  assert.equal((await enroll(service, { tpm, key: tpm.createKey() })).status, 202, 'another key waits, too')
  const known = { endorsementKey: (await shown()).endorsementKey.sha256 }
  await service.call('PUT', `/v1/devices/${waits.body.deviceId}/endorsement-key`, known)
  assert.equal((await enroll(service, { tpm, key: tpm.createKey() })).status, 201)
})

test('a renewal keeps the proof only by a fresh activation, which is no early rekey once the window is open', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const { ca } = await makerOf(service)
  const device = await deviceOf(ca)
  const first = await enroll(service, device)
  assert.equal(first.status, 201)
  const { deviceId, certificate } = first.body
  const attested = async () => {
    const { attestations } = (await service.call('GET', `/v1/devices/${deviceId}/endorsement-key`)).body
    return attestations.map((one: { fingerprint: string }) => one.fingerprint)
  }
  now += 70 * DAY_MS
  const identity = {
    certificate,
    key: device.key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
  const { csr } = makeCsr('p256')
  const renewed = await ask(service, identity, 'POST', '/v1/self/certificates', { csr })
  assert.equal(renewed.status, 201, renewed.bytes.toString())
  assert.deepEqual(await attested(), [first.body.fingerprint])
  await service.call('POST', `/v1/certificates/${renewed.body.fingerprint}/revoke`)
  // The certificate of its endorsement key is for longer than a device's.
  const endorsement = await certify(ca, device.tpm.endorsement, { notAfter: new Date(now + DAY_MS) })
  const proven = await enroll(service, { ...device, key: device.tpm.createKey(), endorsement })
  assert.deepEqual([proven.status, proven.body.deviceId], [201, deviceId], proven.bytes.toString())
  assert.deepEqual(await attested(), [proven.body.fingerprint, first.body.fingerprint])
  const early = async () =>
    (await service.call('GET', `/v1/audit?action=certificate.rekey`)).body.items.length
  assert.equal(await early(), 0)
})

test('TPMs of strangers and wrong answers count as failures of their address; a TPM that is known passes all the same', async () => {
  await using service = await startService({ failuresPerMinuteMax: 2 })
  const maker = await makerOf(service)
  const stranger = createSoftwareTpm()
  const ask = () => challenge(service, documentsOf(stranger, stranger.createKey(), null))
  assert.deepEqual(reasonOf(await ask()), [403, 'tpm_unknown'])
  assert.deepEqual(reasonOf(await answer(service, 'A'.repeat(22), Buffer.alloc(32))), [
    404,
    'tpm_session_unknown',
  ])
  const limited = await ask()
  assert.deepEqual(reasonOf(limited), [429, 'rate_limited'])
  assert.ok(Number(limited.headers['retry-after']) > 0)
  assert.equal((await enroll(service, await deviceOf(maker.ca))).status, 201)
})
