// The names by which a certificate may call its device, read from its structure. Hints are made of them, never decisions.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { DEVICE_URN } from './profile.ts'

const NAMES_MAX = 8

/** CN, and dNSName and URI of the subjectAltName, each also in the part that may be an ID. None where it cannot be read. */
export function namesIn(der: Buffer): string[] {
  try {
    const certificate = new x509.X509Certificate(new Uint8Array(der))
    const sans = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? []
    const alternatives = sans.flatMap(({ type, value }) => {
      if (type === 'dns') return [value, value.split('.', 1)[0]!]
      return type === 'url' ? [lastPart(value)] : []
    })
    const names = [...certificate.subjectName.getField('CN'), ...alternatives]
    return [...new Set(names.flatMap(name => [name, name.toLowerCase()]))].slice(0, NAMES_MAX)
  } catch {
    return []
  }
}

function lastPart(uri: string): string {
  return uri.toLowerCase().startsWith(DEVICE_URN)
    ? uri.slice(DEVICE_URN.length)
    : uri.replace(/\/+$/, '').replace(/^.*[/:]/s, '')
}
