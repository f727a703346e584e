// How a device that registers itself is named: a template over what its certificate says. Pure. A name that is missing,
// given twice or no device ID names nobody: nothing is guessed, cut or replaced.
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { DEVICE_ID_RULE, isDeviceId } from '../../pki/device-id.ts'
import { hardwareSerials, matterIdentifiers, permanentIdentifiers } from '../../pki/device-names.ts'
import { type CertificateNames, namesOf } from '../../pki/names.ts'

type Naming = { deviceId: string } | { fault: string }

const TEMPLATE_CHARACTERS_MAX = 200
const VARIABLE = /\$\{([^}]*)\}/g

/** What a variable stands for: every value the certificate gives for it. */
type Source = (names: CertificateNames, der: Buffer, serialNumber: string) => string[]
const sources: Record<string, Source> = {
  cn: ({ commonNames }) => [...commonNames],
  'subject.serialNumber': ({ serialNumbers }) => [...serialNumbers],
  'san.dns': ({ sans }) => sansOf(sans, 'dns'),
  // A URI is no device ID; what stands behind its last colon or slash may be.
  'san.uri': ({ sans }) => sansOf(sans, 'url').map(uri => uri.slice(uri.search(/[^:/]*$/))),
  'san.hwSerial': ({ sans }) => hardwareSerials(sans).map(octets => octets.toString('hex')),
  'san.hwSerialText': ({ sans }) => hardwareSerials(sans).map(octets => octets.toString('latin1')),
  'san.permanentIdentifier': ({ sans }) => permanentIdentifiers(sans),
  'matter.vid': names => matterIdentifiers(names, 'vid'),
  'matter.pid': names => matterIdentifiers(names, 'pid'),
  serial: (_names, _der, serialNumber) => [serialNumber],
  fingerprint: (_names, der) => [fingerprintOf(der)],
}

/** A part of the serialNumber attribute, as `SN` of `PID:WS-C3850 SN:FOC1234`. */
const PART = /^subject\.serialNumber\.([A-Za-z0-9]{1,16})$/

function sourceOf(variable: string): Source | null {
  const part = PART.exec(variable)?.[1]
  if (part === undefined) return Object.hasOwn(sources, variable) ? sources[variable]! : null
  const labelled = new RegExp(`(?:^|[\\s,;])${part}:([^\\s,;]+)`, 'g')
  return ({ serialNumbers }) =>
    serialNumbers.flatMap(text => [...text.matchAll(labelled)].map(match => match[1]!))
}

/** What is wrong with a template, in words; null where nothing is. */
export function templateFault(template: string): string | null {
  if (template.length > TEMPLATE_CHARACTERS_MAX)
    return `it is longer than ${TEMPLATE_CHARACTERS_MAX} characters`
  const variables = [...template.matchAll(VARIABLE)].map(match => match[1] ?? '')
  if (variables.length === 0) return 'it names every device the same: it needs a variable'
  const unknown = variables.find(variable => sourceOf(variable) === null)
  if (unknown !== undefined) {
    return `it names the variable ${JSON.stringify(unknown)}: there are ${Object.keys(sources).join(', ')}, subject.serialNumber.LABEL`
  }
  const literal = template.replace(VARIABLE, '')
  return /^[A-Za-z0-9._-]*$/.test(literal)
    ? null
    : 'its literal parts may hold A-Z a-z 0-9 . _ - and nothing else'
}

/** The device ID that a template gives a certificate, or why it gives none. */
export function nameDevice(template: string, der: Buffer, serialNumber: string): Naming {
  const names = namesOf(der)
  let fault: string | null = null
  const deviceId = template.replace(VARIABLE, (_, variable: string) => {
    const values = sourceOf(variable)?.(names, der, serialNumber) ?? []
    if (values.length !== 1) {
      fault ??= `\${${variable}} has ${values.length === 0 ? 'no value' : `${values.length} values`} in the certificate`
    }
    return values[0] ?? ''
  })
  if (fault !== null) return { fault }
  if (!isDeviceId(deviceId)) {
    return { fault: `${JSON.stringify(deviceId.slice(0, 200))} is no device ID: ${DEVICE_ID_RULE}` }
  }
  return { deviceId }
}

function sansOf(sans: CertificateNames['sans'], type: string): string[] {
  return sans.filter(san => san.type === type).map(san => san.value)
}
