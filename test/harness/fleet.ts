// A listed fleet in a second: one template certificate, re-serialized per device and signed with node:crypto.
// All share one key pair, which the registry's verbs would refuse: rows are written by SQL.
import 'reflect-metadata'
import { createHash, createPrivateKey, sign, webcrypto } from 'node:crypto'
import { X509Certificate } from '@peculiar/x509'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { toPem } from '../../pki/pem.ts'
import { type Identity, makeKeyPair } from './authority.ts'
import type { Roll } from './roll.ts'

export type Member = Identity & { id: string; fingerprint: string }

/** Lists `count` devices `f0000`, `f0001` … with a certificate each. */
export async function enrollFleet(roll: Roll, count: number): Promise<Member[]> {
  const keyPair = await makeKeyPair('p256')
  const template = await roll.issuing.issue({ name: 'f0000', keyPair, serialNumber: SERIAL })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', roll.issuing.keyPair.privateKey))
  const signingKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const parsed = new X509Certificate(template.certificate)
  const tbs = tbsOf(Buffer.from(parsed.rawData))
  const facts = certificateFacts(template.der)

  const { sqlite } = roll.registry
  const device = sqlite.prepare(
    "INSERT INTO devices (id, state, attributes, created_at, updated_at) VALUES (?, 'active', '{}', 0, 0)",
  )
  const listing = sqlite.prepare(
    `INSERT INTO certificates (fingerprint, device_id, issuer_id, trust, status, serial_number, subject, key_type, spki_hash,
       client_auth, is_ca, not_before, not_after, der, issued_at, first_used_at)
     VALUES (?, ?, ?, 'chained', 'active', ?, ?, ?, ?, 1, 0, ?, ?, ?, 0, 0)`,
  )
  const members = Array.from({ length: count }, (_, index): Member => {
    const id = `f${String(index).padStart(4, '0')}`
    const own = replaced(
      replaced(tbs, Buffer.from('f0000'), Buffer.from(id)),
      Buffer.from(SERIAL, 'hex'),
      serial(index),
    )
    const signature = sign('sha256', own, signingKey)
    const der = sequence(
      Buffer.concat([
        own,
        ECDSA_SHA256,
        Buffer.concat([Buffer.from([3, signature.length + 1, 0]), signature]),
      ]),
    )
    const fingerprint = createHash('sha256').update(der).digest('hex')
    return { id, fingerprint, der, certificate: toPem(der, 'CERTIFICATE'), key: template.key }
  })
  sqlite.transaction(() => {
    for (const [index, { id, fingerprint, der }] of members.entries()) {
      device.run(id)
      listing.run(
        fingerprint,
        id,
        roll.issuerId,
        serial(index).toString('hex'),
        `CN=${id}`,
        'p256',
        facts.spkiHash,
        facts.notBefore,
        facts.notAfter,
        der,
      )
    }
  })()
  return members
}

const SERIAL = '5a'.repeat(16)
const ECDSA_SHA256 = Buffer.from('300a06082a8648ce3d040302', 'hex')

function serial(index: number): Buffer {
  const bytes = Buffer.from(SERIAL, 'hex')
  bytes.writeUInt32BE(index, 12)
  return bytes
}

function replaced(bytes: Buffer, from: Buffer, to: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  for (let at = copy.indexOf(from); at !== -1; at = copy.indexOf(from, at + to.length)) to.copy(copy, at)
  return copy
}

/** The TBSCertificate inside a certificate, header included. */
function tbsOf(der: Buffer): Buffer {
  const start = 2 + lengthOctets(der, 0)
  const header = 2 + lengthOctets(der, start)
  return der.subarray(start, start + header + contentLength(der, start))
}

function lengthOctets(der: Buffer, at: number): number {
  return (der[at + 1]! & 0x80) === 0 ? 0 : der[at + 1]! & 0x7f
}

function contentLength(der: Buffer, at: number): number {
  const octets = lengthOctets(der, at)
  return octets === 0 ? der[at + 1]! : der.readUIntBE(at + 2, octets)
}

function sequence(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x30, 0x82, content.length >> 8, content.length & 0xff]), content])
}
