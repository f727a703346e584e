// Certificate requests of a fleet: each with a key of its own, made beforehand so that making them is not measured.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

export type FleetRequest = { deviceId: string; csr: string }

/** PKCS #10 requests (PEM) on P-256, for devices of this prefix. */
export async function makeRequests(prefix: string, count: number): Promise<FleetRequest[]> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const requests: FleetRequest[] = []
  for (let index = 0; index < count; index += 1) {
    const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair
    const deviceId = `${prefix}-${String(index).padStart(7, '0')}`
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: `CN=${deviceId}`,
      keys,
      signingAlgorithm: algorithm,
    })
    requests.push({ deviceId, csr: `${request.toString('pem')}\n` })
  }
  return requests
}

type CryptoKeyPair = Parameters<typeof x509.Pkcs10CertificateRequestGenerator.create>[0]['keys']
