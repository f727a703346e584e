// What vouched for a TPM when it asked for its challenge, and no more when it answers: a change of an operator in between holds.
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import {
  createSoftwareTpm,
  type SoftwareTpm,
  type TpmKey,
} from '../../../device-sim/enrollment/software-tpm.ts'
import type { Identity } from '../../harness/authority.ts'
import { type Service, startService } from '../harness.ts'
import { answer, challenge, deviceOf, documentsOf, enroll, makerOf, reasonOf } from './tpm-devices.ts'

type Shown = { tpm: SoftwareTpm; key: TpmKey; endorsement?: Identity | null }

/** The answer to a challenge that was asked for before the change. */
async function answered(service: Service, shown: Shown, change: () => Promise<{ status: number }>) {
  const { tpm, key, endorsement = null } = shown
  const asked = await challenge(service, documentsOf(tpm, key, endorsement))
  assert.equal(asked.status, 201, asked.bytes.toString())
  assert.equal((await change()).status, 200)
  const secret = tpm.activate(key, Buffer.from(asked.body.credential, 'base64'))
  return answer(service, asked.body.session, secret)
}
const devices = async (service: Service) =>
  (await service.call('GET', '/v1/devices')).body.items.map(({ id }: { id: string }) => id)

test('an endorsement key that an operator takes off the record enrolls nothing, also under another name', async () => {
  await using service = await startService()
  const tpm = createSoftwareTpm()
  const path = '/v1/devices/listed-1/endorsement-key'
  await service.call('POST', '/v1/devices', { id: 'listed-1' })
  await service.call('PUT', path, {
    endorsementKey: hash('sha256', tpm.endorsement.publicKey.export({ type: 'spki', format: 'der' })),
  })
  const refused = await answered(service, { tpm, key: tpm.createKey() }, () =>
    service.call('PUT', path, { endorsementKey: null }),
  )
  assert.deepEqual(reasonOf(refused), [403, 'tpm_refused'])
  assert.deepEqual(await devices(service), ['listed-1'])
})

test('nor does one that a token had vouched for', async () => {
  await using service = await startService()
  const tpm = createSoftwareTpm()
  await service.call('POST', '/v1/devices', { id: 'token-1' })
  const { body } = await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'token-1' })
  const headers = { authorization: `Bearer ${body.token}` }
  assert.equal((await enroll(service, { tpm, key: tpm.createKey() }, { headers })).status, 201)
  const refused = await answered(service, { tpm, key: tpm.createKey() }, () =>
    service.call('PUT', '/v1/devices/token-1/endorsement-key', { endorsementKey: null }),
  )
  assert.deepEqual(reasonOf(refused), [403, 'tpm_refused'])
  assert.deepEqual(await devices(service), ['token-1'])
})

test('a manufacturer that is set to wait for approval, or is disabled, vouches for nobody as before', async () => {
  await using service = await startService()
  const { ca, id } = await makerOf(service)
  const pending = await answered(service, await deviceOf(ca), () =>
    service.call('PUT', `/v1/issuers/${id}/tpm`, { mode: 'pending' }),
  )
  assert.deepEqual(reasonOf(pending), [403, 'tpm_refused'])
  const disabled = await answered(service, await deviceOf(ca), () =>
    service.call('POST', `/v1/issuers/${id}/disable`),
  )
  assert.deepEqual(reasonOf(disabled), [403, 'tpm_refused'])
  assert.deepEqual(await devices(service), [])
})
