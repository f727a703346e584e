// The certificates on the roll that a CA signed and that may still admit somebody, page by page.
import type { Registry } from '../open.ts'

type IssuedCertificate = { fingerprint: string; deviceId: string; serialNumber: string; der: Buffer }

/** In order of their serial numbers, from after one on. */
export function prepareIssuedBy({
  sqlite,
}: Registry): (issuerId: string, after: string, limit: number) => IssuedCertificate[] {
  const select = sqlite.prepare<[string, string, number], IssuedCertificate>(
    `SELECT fingerprint, device_id AS deviceId, serial_number AS serialNumber, der FROM certificates
     WHERE issuer_id = ? AND serial_number > ?
       AND status IN ('pending', 'issued', 'active', 'superseded', 'suspended')
     ORDER BY serial_number LIMIT ?`,
  )
  return (issuerId, after, limit) => select.all(issuerId, after, limit)
}
