// CMP messages as a test wants them, right or wrong, and what a server answers taken apart. Written apart from the code of the service.
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  pbkdf2Sync,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { contentOf, elementsOf, encodingOf, oidOf, tags, wholeElement } from '../../../pki/der-reader.ts'
import {
  bitString,
  integer,
  nothing,
  octetString,
  oid,
  sequence,
  setOf,
  tagged,
  utf8String,
} from '../../../provisioning/x509/der.ts'

export const SHA256 = '2.16.840.1.101.3.4.2.1'
const HMAC_SHA256 = '1.2.840.113549.2.9'
const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'))

export const number = (value: number) => integer(value.toString(16))
export const commonName = (text: string) => sequence(setOf(sequence(oid('2.5.4.3'), utf8String(text))))

/** How a message is protected. */
export type Protector = {
  algorithm: Buffer | null
  senderKid: Buffer | null
  sender: Buffer
  extraCerts: readonly Buffer[]
  protect(bytes: Buffer): Buffer | null
}

export function pbm(
  reference: string,
  secret: string,
  { count = 500, rounds = number(count), owf = SHA256, mac = HMAC_SHA256, salt = randomBytes(16) } = {},
): Protector {
  const parameters = sequence(octetString(salt), sequence(oid(owf)), rounds, sequence(oid(mac)))
  return {
    algorithm: sequence(oid('1.2.840.113533.7.66.13'), parameters),
    senderKid: Buffer.from(reference),
    sender: sequence(),
    extraCerts: [],
    protect(bytes) {
      let key: Buffer = Buffer.concat([Buffer.from(secret), salt])
      for (let round = 0; round < count; round += 1) key = hash('sha256', key, 'buffer')
      return createHmac('sha256', key).update(bytes).digest()
    },
  }
}

export function pbmac1(reference: string, secret: string, rounds = 10_000): Protector {
  const salt = randomBytes(16)
  const derivation = sequence(
    octetString(salt),
    number(rounds),
    number(32),
    sequence(oid(HMAC_SHA256), nothing()),
  )
  const parameters = sequence(
    sequence(oid('1.2.840.113549.1.5.12'), derivation),
    sequence(oid(HMAC_SHA256), nothing()),
  )
  return {
    algorithm: sequence(oid('1.2.840.113549.1.5.14'), parameters),
    senderKid: Buffer.from(reference),
    sender: sequence(),
    extraCerts: [],
    protect: bytes =>
      createHmac('sha256', pbkdf2Sync(secret, salt, rounds, 32, 'sha256'))
        .update(bytes)
        .digest(),
  }
}

/** A signature with a key on P-256; `certificate` and `key` are PEM. */
export function signature(certificate: string, key: string): Protector {
  const { raw } = new X509Certificate(certificate)
  const [tbs] = elementsOf(raw, wholeElement(raw, tags.sequence))
  const fields = [...elementsOf(raw, tbs!)]
  const extensions = fields.at(-1)!
  const [list] = elementsOf(raw, extensions)
  const keyId = [...elementsOf(raw, list!)].find(one => {
    const [id] = elementsOf(raw, one)
    return oidOf(raw, id) === '2.5.29.14'
  })
  const wrapped = keyId === undefined ? null : contentOf(raw, [...elementsOf(raw, keyId)].at(-1)!)
  return {
    algorithm: ECDSA_SHA256,
    senderKid: wrapped === null ? null : wrapped.subarray(2),
    sender: encodingOf(raw, fields[5]!),
    extraCerts: [raw],
    protect: bytes => sign('sha256', bytes, createPrivateKey(key)),
  }
}

export const unprotected: Protector = {
  ...{ algorithm: null, senderKid: null, sender: sequence(), extraCerts: [] },
  protect: () => null,
}

export type MessageFields = {
  pvno?: number
  transactionId?: Buffer
  senderNonce?: Buffer | null
  recipNonce?: Buffer | null
  body: { type: number; der: Buffer }
  implicitConfirm?: boolean
}

export function message(by: Protector, parts: MessageFields): Buffer {
  const {
    pvno = 2,
    transactionId = randomBytes(16),
    senderNonce = randomBytes(16),
    recipNonce = null,
  } = parts
  const implicit = sequence(sequence(oid('1.3.6.1.5.5.7.4.13'), nothing()))
  const header = sequence(
    number(pvno),
    tagged(4, by.sender),
    tagged(4, sequence()),
    ...(by.algorithm === null ? [] : [tagged(1, by.algorithm)]),
    ...(by.senderKid === null ? [] : [tagged(2, octetString(by.senderKid))]),
    tagged(4, octetString(transactionId)),
    ...(senderNonce === null ? [] : [tagged(5, octetString(senderNonce))]),
    ...(recipNonce === null ? [] : [tagged(6, octetString(recipNonce))]),
    ...(parts.implicitConfirm === true ? [tagged(8, implicit)] : []),
  )
  const body = tagged(parts.body.type, parts.body.der)
  const protection = by.protect(sequence(header, body))
  return sequence(
    header,
    body,
    ...(protection === null ? [] : [tagged(0, bitString(protection))]),
    ...(by.extraCerts.length === 0 ? [] : [tagged(1, sequence(...by.extraCerts))]),
  )
}

export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

/** A CertReqMsg; `popo` signs with the key where it is not given, and is left out where it is null. */
export function certificateRequest(parts: {
  key?: KeyObject
  spki?: Buffer | null
  subject?: string | null
  requestId?: Buffer
  popo?: Buffer | null
  controls?: Buffer
}): Buffer {
  const { key = newKey(), subject = 'pump-1', requestId = number(0), popo } = parts
  const spki = parts.spki === undefined ? spkiOf(key) : parts.spki
  const template = sequence(
    ...(subject === null ? [] : [tagged(5, commonName(subject))]),
    ...(spki === null ? [] : [tagged(6, contentOf(spki, wholeElement(spki, tags.sequence)))]),
  )
  const request = sequence(requestId, template, ...(parts.controls === undefined ? [] : [parts.controls]))
  const signed = tagged(1, ECDSA_SHA256, bitString(sign('sha256', request, key)))
  return sequence(request, ...(popo === null ? [] : [popo ?? signed]))
}

export function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' })
}

export type CmpReply = {
  bodyType: number
  body: Buffer
  senderNonce: Buffer
  recipNonce: Buffer | null
  transactionId: Buffer | null
  /** Of an error: the number of failInfo's bit, and the text. */
  failure: number | null
  text: string
  protectionOid: string
  protectedPart: Buffer
  protection: Buffer
  extraCerts: Buffer[]
}

/** An answer taken apart. */
export function replyOf(der: Buffer): CmpReply {
  const [header, body, protection, extra] = elementsOf(der, wholeElement(der, tags.sequence))
  const fields = new Map([...elementsOf(der, header!)].map(field => [field.tag, field]))
  const octetsOf = (tag: number) => {
    const field = [...elementsOf(der, header!)].slice(3).find(one => one.tag === tag)
    return field === undefined ? null : contentOf(der, [...elementsOf(der, field)][0]!)
  }
  const [algorithm] = elementsOf(der, fields.get(0xa1)!)
  const [id] = elementsOf(der, algorithm!)
  const [inner] = elementsOf(der, body!)
  const [bits] = elementsOf(der, protection!)
  const [list] = elementsOf(der, extra!)
  const reply = {
    bodyType: body!.tag - 0xa0,
    body: encodingOf(der, inner!),
    senderNonce: octetsOf(0xa5)!,
    recipNonce: octetsOf(0xa6),
    transactionId: octetsOf(0xa4),
    protectionOid: oidOf(der, id),
    protectedPart: sequence(encodingOf(der, header!), encodingOf(der, body!)),
    protection: contentOf(der, bits!).subarray(1),
    extraCerts: [...elementsOf(der, list!)].map(one => encodingOf(der, one)),
  }
  return { ...reply, ...failureOf(reply.bodyType, reply.body) }
}

function failureOf(bodyType: number, body: Buffer): { failure: number | null; text: string } {
  if (bodyType !== 23) return { failure: null, text: '' }
  const [info] = elementsOf(body, wholeElement(body, tags.sequence))
  const [, texts, bits] = elementsOf(body, info!)
  const [text] = elementsOf(body, texts!)
  const octets = contentOf(body, bits!).subarray(1)
  const at = octets.findIndex(octet => octet !== 0)
  return { failure: at * 8 + Math.clz32(octets[at]!) - 24, text: contentOf(body, text!).toString() }
}

/** The certificate in an ip, cp or kup. */
export function certificateIn({ body }: CmpReply): Buffer {
  const responses = [...elementsOf(body, wholeElement(body, tags.sequence))].at(-1)!
  const [response] = elementsOf(body, responses)
  const [, , pair] = elementsOf(body, response!)
  const [choice] = elementsOf(body, pair!)
  const [certificate] = elementsOf(body, choice!)
  return encodingOf(body, certificate!)
}
