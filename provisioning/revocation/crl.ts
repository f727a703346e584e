// Certificate revocation lists (RFC 5280 §5): entries gathered a few at a time, then one list signed over them.
// Pure but for the signature; refuses to know where entries come from and when a list is due.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import {
  bitString,
  enumerated,
  integer,
  nothing,
  octetString,
  oid,
  sequence,
  tagged,
  time,
} from '../x509/der.ts'
import { type Reason, reasonCodes } from './revocation-status.ts'

type CrlEntry = { serialNumber: string; reason: Reason; at: number }
/** Times in ms since the epoch. */
type CrlFacts = { number: number; thisUpdate: number; nextUpdate: number }

/** Gathers entries as DER; adding thousands of them takes some milliseconds. */
type EntryList = { add(entry: CrlEntry): void; count(): number; der(): Buffer }

export function createEntryList(): EntryList {
  const parts: Buffer[] = []
  return {
    add: entry => parts.push(entryOf(entry)),
    count: () => parts.length,
    der: () => Buffer.concat(parts),
  }
}

/** DER of the list. Empty `entries` leave the field out, as RFC 5280 §5.1.2.6 asks. */
export async function signCrl(ca: IssuingCa, facts: CrlFacts, entries: Buffer): Promise<Buffer> {
  const { oid: algorithmOid, nullParameters } = ca.signer.algorithm
  const algorithm = sequence(oid(algorithmOid), ...(nullParameters ? [nothing()] : []))
  const keyIdentifier = await x509.AuthorityKeyIdentifierExtension.create(
    new x509.PublicKey(new Uint8Array(ca.signer.publicKey.export({ type: 'spki', format: 'der' }))),
  )
  const number = sequence(oid('2.5.29.20'), octetString(integer(facts.number.toString(16))))
  const list = sequence(
    integer('01'),
    algorithm,
    new Uint8Array(new x509.X509Certificate(new Uint8Array(ca.certificate.raw)).subjectName.toArrayBuffer()),
    time(facts.thisUpdate),
    time(facts.nextUpdate),
    ...(entries.length === 0 ? [] : [sequence(entries)]),
    tagged(0, sequence(new Uint8Array(keyIdentifier.rawData), number)),
  )
  return sequence(list, algorithm, bitString(await ca.signer.sign(list)))
}

/**
 * An entry takes asn1js some 40 µs, which is seconds for 100,000. Those of one reason differ in two fields of fixed
 * length, serial number and time: the library writes one, and the others are copies with these fields replaced.
 */
function entryOf(entry: CrlEntry): Buffer {
  const at = utcTimeText(entry.at)
  const serialNumber = Buffer.from(entry.serialNumber, 'hex')
  const first = serialNumber[0] ?? 0
  // Any other length, sign or century is the library's to write.
  if (serialNumber.length !== SAMPLE_SERIAL.length || first === 0 || first >= 0x80 || at === null)
    return entryDer(entry)
  const template = templateOf(entry.reason)
  const der = Buffer.from(template.der)
  serialNumber.copy(der, template.serialAt)
  der.write(at, template.timeAt, 'latin1')
  return der
}

type Template = { der: Buffer; serialAt: number; timeAt: number }
const templates = new Map<Reason, Template>()
const SAMPLE_SERIAL = Buffer.from('5a'.repeat(20), 'hex')
const SAMPLE_AT = Date.UTC(2026, 0, 2, 3, 4, 5)

function templateOf(reason: Reason): Template {
  const known = templates.get(reason)
  if (known !== undefined) return known
  const der = entryDer({ serialNumber: SAMPLE_SERIAL.toString('hex'), reason, at: SAMPLE_AT })
  const text = utcTimeText(SAMPLE_AT) ?? ''
  const template = { der, serialAt: der.indexOf(SAMPLE_SERIAL), timeAt: der.indexOf(text, 0, 'latin1') }
  templates.set(reason, template)
  return template
}

/** The content of a UTCTime; null from 2050 on, where RFC 5280 wants another type. */
function utcTimeText(at: number): string | null {
  const iso = new Date(at).toISOString()
  return iso < '2050' ? `${iso.slice(2, 19).replace(/[-T:]/g, '')}Z` : null
}

function entryDer({ serialNumber, reason, at }: CrlEntry): Buffer {
  // RFC 5280 §5.3.1: where no reason is given, the extension is left out.
  const code = reasonCodes[reason]
  const extensions = code === 0 ? [] : [sequence(sequence(oid('2.5.29.21'), octetString(enumerated(code))))]
  return sequence(integer(serialNumber), time(at), ...extensions)
}
