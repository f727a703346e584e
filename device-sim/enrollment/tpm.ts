// Enrollment by a TPM as a device does it: what the TPM is goes on the operator's list, and the TPM proves that the key is in it. The TPM is a model in
// software, one for each device, so that there can be thousands: it exercises the service, and protects nothing.
import { createHash } from 'node:crypto'
import { RunFailed } from '../failure.ts'
import type { Api } from './api.ts'
import { type Identity, identityFrom } from './identity.ts'
import { refusal } from './refusal.ts'
import { createSoftwareTpm } from './software-tpm.ts'

type Challenge = { session: string; credential: string }
type Issued = { certificate: string; chain: string[]; deviceId: string }

/** A new TPM, a key in it, and a certificate for that. The device must be registered. The key is P-256. */
export async function enrollByTpm(deviceId: string, api: Api): Promise<Identity> {
  const tpm = createSoftwareTpm()
  const key = tpm.createKey()
  const spki = tpm.endorsement.publicKey.export({ type: 'spki', format: 'der' })
  const endorsementKey = createHash('sha256').update(spki).digest('hex')
  const listed = await api.call('PUT', `/v1/devices/${deviceId}/endorsement-key`, { endorsementKey })
  if (listed.problem) throw refusal(`listing the TPM of ${deviceId}`, listed.status, listed.problem)
  // The device's own requests show no token: its TPM is what proves it.
  const own = { anonymous: true }
  const documents = {
    key: key.area.toString('base64'),
    endorsementKey: tpm.endorsement.area.toString('base64'),
  }
  const asked = await api.call<Challenge>('POST', '/v1/enroll/tpm', documents, own)
  if (asked.problem) throw refusal(`asking for a challenge for ${deviceId}`, asked.status, asked.problem)
  const secret = tpm.activate(key, Buffer.from(asked.body.credential, 'base64')).toString('base64')
  const answer = await api.call<Issued>('POST', `/v1/enroll/tpm/${asked.body.session}`, { secret }, own)
  if (answer.problem) throw refusal(`enrolling ${deviceId} by its TPM`, answer.status, answer.problem)
  if (answer.status === 202)
    throw new RunFailed(`enrolling ${deviceId} by its TPM waits for an operator's approval`)
  const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return identityFrom(deviceId, pem, [answer.body.certificate, ...answer.body.chain])
}
