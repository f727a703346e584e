// Certificate profiles (RFC 5280 §4): what a root, an issuing CA, a device and a server certificate contain.
// A profile takes names it is given and nothing of a CSR; it neither signs nor decides.
import 'reflect-metadata'
import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'
import { DEVICE_URN } from '../x509/certificate-names.ts'

/**
 * What goes into a certificate besides its key, serial number and validity. Profiles of one `kind` differ by their
 * `deviceId` alone, wherever it stands in them, so that one certificate of a kind is the template of the next.
 */
export type Profile = {
  readonly subject: x509.Name
  readonly extensions: x509.Extension[]
  readonly template?: { kind: string; deviceId: string }
  /** False where it does not say where to ask about it. */
  readonly pointers?: false
}
/** Milliseconds since the epoch. */
export type Validity = { notBefore: number; notAfter: number }

export const DAY_MS = 86_400_000
/** Clocks of devices run late: what is issued is valid a little earlier. */
export const BACKDATE_MS = 5 * 60_000
const SERIAL_OCTETS = 20

/**
 * A validity of so many days from now, in whole seconds as certificates hold them,
 * and never beyond the end of the issuer's own.
 */
export function validityOf(days: number, now: number, issuerNotAfter = Number.POSITIVE_INFINITY): Validity {
  return {
    notBefore: wholeSeconds(now - BACKDATE_MS),
    notAfter: wholeSeconds(Math.min(now + days * DAY_MS, issuerNotAfter)),
  }
}

/** 158 random bits in 20 octets, positive and without leading zero octets (RFC 5280 §4.1.2.2). Lowercase hex. */
export function randomSerialNumber(): string {
  const octets = randomBytes(SERIAL_OCTETS)
  octets[0] = (octets[0]! & 0x7f) | 0x40
  return octets.toString('hex')
}

/** The self-signed trust anchor that devices hold as ca.crt. */
export function rootProfile(name: string): Profile {
  return {
    subject: named(name),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  }
}

/** The CA that signs leaves and nothing else: pathLenConstraint 0. */
export function issuingProfile(name: string): Profile {
  return {
    subject: named(name),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
    ],
  }
}

/** The locally significant device identifier (IEEE 802.1AR LDevID) of one device. */
export function deviceProfile(deviceId: string): Profile {
  return {
    // Whatever else comes to make a difference between two device profiles belongs into the kind.
    template: { kind: 'device', deviceId },
    // Made when they are asked for: where a template exists, they are not.
    get subject() {
      return named(deviceId)
    },
    get extensions() {
      return [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `${DEVICE_URN}${deviceId}` }]),
      ]
    },
  }
}

/** A claim certificate, which may only enroll: no device can have these names. Enrollment alone checks its status. */
export function claimProfile(name: string): Profile {
  return {
    subject: named(`claim:${name}`),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `${CLAIM_URN}${name}` }]),
    ],
  }
}

/** What broker and API show. `sans` are DNS names and IP addresses. */
export function serverProfile(sans: readonly string[]): Profile {
  return {
    subject: named('Rollcall server'),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        sans.map(value => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
      ),
    ],
  }
}

/** The signer of OCSP answers for an issuing CA (RFC 6960 §4.2.2.2). Clients do not ask whether it is revoked. */
export function responderProfile(): Profile {
  return {
    subject: named('Rollcall OCSP responder'),
    pointers: false,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([OCSP_SIGNING]),
      new x509.Extension(OCSP_NOCHECK, false, Buffer.from('0500', 'hex')),
    ],
  }
}

const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9'
const OCSP_NOCHECK = '1.3.6.1.5.5.7.48.1.5'

/** The same for a claim. */
export const CLAIM_URN = 'urn:rollcall:claim:'

function named(commonName: string): x509.Name {
  return new x509.Name([{ CN: [{ utf8String: commonName }] }])
}

function wholeSeconds(at: number): number {
  return Math.floor(at / 1000) * 1000
}
