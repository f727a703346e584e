// Devices with a TPM for tests: their requests, and certificates of their endorsement keys.
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import {
  createSoftwareTpm,
  type SoftwareTpm,
  type TpmKey,
} from '../../../device-sim/enrollment/software-tpm.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { type Authority, createAuthority, type Identity, type LeafOptions } from '../../harness/authority.ts'
import { type Answer, ask } from '../device-requests.ts'
import type { Service } from '../harness.ts'

export const EK_USAGE = '2.23.133.8.1'

export type Maker = { ca: Authority; id: string }

/** A manufacturer on record, set to vouch for TPMs. */
export async function makerOf(
  service: Service,
  settings: object | null = { mode: 'active', group: 'pumps' },
): Promise<Maker> {
  const ca = await createAuthority('TPM Maker')
  const id = fingerprintOf(ca.der)
  await service.call('POST', '/v1/issuers', { certificate: ca.certificate })
  if (settings !== null) {
    const set = await service.call('PUT', `/v1/issuers/${id}/tpm`, settings)
    assert.equal(set.status, 200, set.text)
  }
  return { ca, id }
}

/** The certificate of an endorsement key, as manufacturers write them: no name of the device, a model in the subjectAltName. */
export async function certify(
  ca: Authority,
  { publicKey, privateKey }: Pick<TpmKey, 'publicKey'> & Partial<TpmKey>,
  more: Partial<LeafOptions> = {},
): Promise<Identity> {
  const algorithm =
    publicKey.asymmetricKeyType === 'rsa'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      : {
          name: 'ECDSA',
          namedCurve: publicKey.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'P-384' : 'P-256',
        }
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const { subtle } = webcrypto
  const keyPair = {
    publicKey: await subtle.importKey('spki', spki, algorithm, true, ['verify']),
    // Of a TPM there is none to be had: the certificate is all that is used then.
    privateKey:
      privateKey === undefined
        ? ca.keyPair.privateKey
        : await subtle.importKey(
            'pkcs8',
            privateKey.export({ type: 'pkcs8', format: 'der' }),
            algorithm,
            true,
            ['sign'],
          ),
  }
  const model = [
    { '2.23.133.2.1': ['id:49424D00'] },
    { '2.23.133.2.2': ['swtpm'] },
    { '2.23.133.2.3': ['id:00010002'] },
  ]
  const san = new x509.SubjectAlternativeNameExtension(
    [{ type: 'dn', value: new x509.Name(model).toString() }],
    true,
  )
  return ca.issue({ name: 'unknown', usages: [EK_USAGE], keyPair, extensions: [san], ...more })
}

/** A TPM with a certificate of its endorsement key. */
export async function deviceOf(ca: Authority, type: 'p256' | 'p384' | 'rsa2048' = 'p256') {
  const tpm = createSoftwareTpm(type)
  return { tpm, key: tpm.createKey(), endorsement: await certify(ca, tpm.endorsement) }
}

const base64 = (octets: Buffer) => octets.toString('base64')

/** What a device posts: by its certificate, or by the public area of its endorsement key. */
export function documentsOf(tpm: SoftwareTpm, key: TpmKey, endorsement: Identity | null, more: object = {}) {
  const shown =
    endorsement === null
      ? { endorsementKey: base64(tpm.endorsement.area) }
      : { endorsementCertificate: endorsement.certificate }
  return { key: base64(key.area), ...shown, ...more }
}

export function challenge(
  service: Service,
  documents: object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return ask(service, null, 'POST', '/v1/enroll/tpm', documents, headers)
}

export function answer(
  service: Service,
  session: string,
  secret: Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return ask(service, null, 'POST', `/v1/enroll/tpm/${session}`, { secret: base64(secret) }, headers)
}

/** Both requests; the answer to the first where that is refused. */
export async function enroll(
  service: Service,
  { tpm, key, endorsement = null }: { tpm: SoftwareTpm; key: TpmKey; endorsement?: Identity | null },
  more: { documents?: object; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const asked = await challenge(service, documentsOf(tpm, key, endorsement, more.documents), more.headers)
  if (asked.status !== 201) return asked
  const secret = tpm.activate(key, Buffer.from(asked.body.credential, 'base64'))
  return answer(service, asked.body.session, secret, more.headers)
}

export const reasonOf = ({ status, body }: Answer) => [status, body?.reason]
