// The roll as lines of a file: JSON lines that an import takes back, or CSV for a spreadsheet. Decides nothing.
import type { ExportedCertificate, ExportedDevice } from '../../db/jobs/device-export.ts'
import type { LastSeen } from '../../db/roll/last-seen.ts'
import { toPem } from '../../pki/pem.ts'

export const csvHeader = [
  'deviceId',
  'state',
  'groups',
  'attributes',
  'createdAt',
  'updatedAt',
  'certificate.count',
  'certificate.fingerprint',
  'certificate.status',
  'certificate.trust',
  'certificate.issuerId',
  'certificate.serialNumber',
  'certificate.keyType',
  'certificate.notBefore',
  'certificate.notAfter',
  'certificate.firstUsedAt',
  'lastSeen.connectedAt',
  'lastSeen.disconnectedAt',
  'lastSeen.reason',
  'lastSeen.address',
  'lastSeen.protocol',
  'lastSeen.sessionKept',
  'lastSeen.messagesWaiting',
  'lastSeen.bytesIn',
  'lastSeen.bytesOut',
]

/** With every certificate of the device, in PEM where they are asked for. */
export function jsonLine(device: ExportedDevice, pem: boolean): string {
  const shown = {
    ...device,
    createdAt: time(device.createdAt),
    updatedAt: time(device.updatedAt),
    lastSeen: device.lastSeen && {
      ...device.lastSeen,
      connectedAt: time(device.lastSeen.connectedAt),
      disconnectedAt: timeOrNull(device.lastSeen.disconnectedAt),
    },
    certificates: device.certificates.map(certificate => toCertificateResponse(certificate, pem)),
  }
  return `${JSON.stringify(shown)}\n`
}

/** With the certificate that was listed last. */
export function csvLine(device: ExportedDevice): string {
  const newest = device.certificates.at(-1)
  const cells = [
    device.deviceId,
    device.state,
    device.groups.join(';'),
    JSON.stringify(device.attributes),
    time(device.createdAt),
    time(device.updatedAt),
    String(device.certificates.length),
    ...(newest === undefined
      ? csvHeader.filter(name => /^certificate\.(?!count)/.test(name)).map(() => '')
      : [
          newest.fingerprint,
          newest.status,
          newest.trust,
          newest.issuerId ?? '',
          newest.serialNumber,
          newest.keyType,
          time(newest.notBefore),
          time(newest.notAfter),
          timeOrNull(newest.firstUsedAt) ?? '',
        ]),
    ...seenCells(device.lastSeen),
  ]
  return `${cells.map(cellOf).join(',')}\r\n`
}

function seenCells(seen: LastSeen | null): string[] {
  if (seen === null) return csvHeader.filter(name => name.startsWith('lastSeen.')).map(() => '')
  return [
    time(seen.connectedAt),
    timeOrNull(seen.disconnectedAt) ?? '',
    seen.reason ?? '',
    seen.address ?? '',
    seen.protocol ?? '',
    String(seen.sessionKept),
    ...[seen.messagesWaiting, seen.bytesIn, seen.bytesOut].map(String),
  ]
}

/** A device of which nothing but its ID can be written. `error` is no field of an import, which so refuses the line. */
export function failedJsonLine(deviceId: string): string {
  return `${JSON.stringify({ deviceId, error: FAILED })}\n`
}

export function failedCsvLine(deviceId: string): string {
  const cells = csvHeader.map((_, index) => (index === 0 ? deviceId : index === 1 ? FAILED : ''))
  return `${cells.map(cellOf).join(',')}\r\n`
}

const FAILED = 'it cannot be exported: the log of the service says why'

/** RFC 4180; what a spreadsheet would run as a formula gets a ' before it, which an import takes off again. */
function cellOf(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

function toCertificateResponse({ der, ...certificate }: ExportedCertificate, pem: boolean) {
  const { notBefore, notAfter, issuedAt, firstUsedAt, revokedAt } = certificate
  return {
    ...certificate,
    notBefore: time(notBefore),
    notAfter: time(notAfter),
    issuedAt: time(issuedAt),
    firstUsedAt: timeOrNull(firstUsedAt),
    revokedAt: timeOrNull(revokedAt),
    ...(pem ? { certificate: toPem(der, 'CERTIFICATE') } : {}),
  }
}

function timeOrNull(at: number | null): string | null {
  return at === null ? null : time(at)
}

function time(at: number): string {
  return new Date(at).toISOString()
}
