// What is to be signed, from a template: the first certificate of its kind is laid out by the library, byte for byte, and
// the next one differs only where its serial number, times, names and key stand. Knows no ASN.1 and no signing key.

import { createHash } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import { SubjectPublicKeyInfo, Time } from '@peculiar/asn1-x509'
import { DEVICE_URN } from '../x509/certificate-names.ts'
import type { SigningOrder, ToBeSigned } from './signing-order.ts'

type Templates = {
  /** The same bytes as the library makes of the order. */
  toBeSigned(order: SigningOrder): Promise<ToBeSigned>
}

/** Where the parts of one order stand in its bytes. */
type Template = ToBeSigned & {
  serialNumber: number
  notBefore: number
  notAfter: number
  commonName: number
  uri: number
  spki: number
  keyIdentifier: number
  /** What stands before the key bits in every SubjectPublicKeyInfo of this kind. */
  spkiHead: Buffer
}

/** One for each length of device ID and kind of key; a fleet has few. */
const TEMPLATES_MAX = 500

/** `layOut` has the library do it; whatever does not fit a template goes that way. */
export function createTemplates(layOut: (order: SigningOrder) => Promise<ToBeSigned>): Templates {
  const known = new Map<string, Template>()
  const timeOf = rememberTimes()

  return {
    async toBeSigned(order) {
      const { template } = order.profile
      if (template === undefined) return layOut(order)
      const times = { notBefore: timeOf(order.validity.notBefore), notAfter: timeOf(order.validity.notAfter) }
      const name = [
        template.kind,
        template.deviceId.length,
        order.spki.length,
        order.serialNumber.length,
        times.notBefore.length,
        times.notAfter.length,
      ].join()
      const found = known.get(name)
      if (found?.spkiHead.equals(order.spki.subarray(0, found.spkiHead.length))) {
        return filled(found, template.deviceId, order, times)
      }
      const made = await layOut(order)
      const learned = templateOf(made, template.deviceId, order, times)
      if (learned !== null) {
        if (known.size >= TEMPLATES_MAX) known.clear()
        known.set(name, learned)
      }
      return made
    },
  }
}

type Times = { notBefore: Buffer; notAfter: Buffer }

function filled(template: Template, deviceId: string, order: SigningOrder, times: Times): ToBeSigned {
  const tbs = Buffer.from(template.tbs)
  tbs.write(order.serialNumber, template.serialNumber, 'hex')
  times.notBefore.copy(tbs, template.notBefore)
  times.notAfter.copy(tbs, template.notAfter)
  tbs.write(deviceId, template.commonName, 'latin1')
  tbs.write(deviceId, template.uri, 'latin1')
  order.spki.copy(tbs, template.spki)
  keyIdentifierOf(order.spki, template.spkiHead.length).copy(tbs, template.keyIdentifier)
  return { tbs, algorithm: template.algorithm }
}

/** Finds each part of the order where it stands; null where one is not there exactly once. */
function templateOf(made: ToBeSigned, deviceId: string, order: SigningOrder, times: Times): Template | null {
  const { tbs } = made
  const subject = Buffer.from(order.profile.subject.toArrayBuffer())
  const uri = Buffer.from(`${DEVICE_URN}${deviceId}`, 'latin1')
  const bits = Buffer.from(AsnConvert.parse(order.spki, SubjectPublicKeyInfo).subjectPublicKey)
  const spkiHead = order.spki.subarray(0, order.spki.length - bits.length)
  if (!subject.subarray(-deviceId.length).equals(Buffer.from(deviceId, 'latin1'))) return null
  if (!order.spki.subarray(spkiHead.length).equals(bits)) return null
  const places = {
    serialNumber: onlyPlace(tbs, Buffer.from(order.serialNumber, 'hex')),
    notBefore: onlyPlace(tbs, times.notBefore),
    notAfter: onlyPlace(tbs, times.notAfter),
    commonName: onlyPlace(tbs, subject) + subject.length - deviceId.length,
    uri: onlyPlace(tbs, uri) + uri.length - deviceId.length,
    spki: onlyPlace(tbs, order.spki),
    keyIdentifier: onlyPlace(tbs, keyIdentifierOf(order.spki, spkiHead.length)),
  }
  return Object.values(places).some(Number.isNaN) ? null : { ...made, ...places, spkiHead }
}

function onlyPlace(bytes: Buffer, part: Buffer): number {
  const place = bytes.indexOf(part)
  return place >= 0 && bytes.indexOf(part, place + 1) < 0 ? place : Number.NaN
}

/** RFC 5280 §4.2.1.2, method 1. It names a key and secures nothing, so SHA-1 it may be. */
function keyIdentifierOf(spki: Buffer, head: number): Buffer {
  return createHash('sha1').update(spki.subarray(head)).digest()
}

/** The times of certificates that are issued in one second are few. */
function rememberTimes(): (at: number) => Buffer {
  const known = new Map<number, Buffer>()
  return at => {
    let time = known.get(at)
    if (time === undefined) {
      time = Buffer.from(AsnConvert.serialize(new Time(new Date(at))))
      if (known.size >= 100) known.clear()
      known.set(at, time)
    }
    return time
  }
}
