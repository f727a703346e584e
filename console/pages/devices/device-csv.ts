// Devices as a CSV file (RFC 4180), with the columns of the service's own export as far as the list knows them.
import type { ListedDevice } from '../../api/response-types.ts'

export function deviceCsv(devices: readonly ListedDevice[]): string {
  const names = [...new Set(devices.flatMap(({ attributes }) => Object.keys(attributes)))].toSorted()
  const header = [
    ...[
      'deviceId',
      'state',
      'groups',
      'connected',
      'lastConnectedAt',
      'certificateStatus',
      'certificateEnds',
    ],
    ...names.map(name => `attr.${name}`),
  ]
  const rows = devices.map(device => [
    ...[device.id, device.state, device.groups.join(';'), String(device.connected)],
    device.lastSeen?.connectedAt ?? '',
    device.certificate?.status ?? '',
    device.certificate?.notAfter ?? '',
    ...names.map(name => (Object.hasOwn(device.attributes, name) ? (device.attributes[name] ?? '') : '')),
  ])
  return [header, ...rows].map(row => `${row.map(field).join(',')}\r\n`).join('')
}

/** What a spreadsheet would take for a formula begins with an apostrophe. */
function field(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
