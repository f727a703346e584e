// Device IDs from the names that standards put in certificates, tried on the shapes that such certificates have.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { certificateFacts } from '../../../pki/certificate-facts.ts'
import { validateLeaf } from '../../../pki/leaf-policy.ts'
import { nameDevice, templateFault } from '../../../provisioning/anchors/name-template.ts'
import {
  der,
  extension,
  extensionOf,
  type ForgedCertificate,
  forgedCertificate,
  noName,
  oid,
  sequence,
  usageBits,
} from '../../harness/certificate-forge.ts'

const attribute = (id: string, text: string, tag = 0x0c) =>
  der(0x31, sequence(oid(id), der(tag, Buffer.from(text))))
const cn = (text: string) => attribute('550403', text)
const serial = (text: string) => attribute('550405', text, 0x13)
const other = (id: string, value: Buffer) => der(0xa0, oid(id), der(0xa0, value))
const hardware = (octets: Buffer) =>
  other('2b06010505070804', sequence(oid('2b0601040182b22e'), der(0x04, octets)))
const permanent = (text: string) => other('2b06010505070803', sequence(der(0x0c, Buffer.from(text))))
const policies = extension('551d20', sequence(sequence(oid('2b0601040182b22e0101'))), true)
const digitalSignature = extensionOf.keyUsage(usageBits(0x80))
const named = (template: string, forgery: ForgedCertificate) => {
  const bytes = forgedCertificate(forgery)
  return nameDevice(template.replaceAll('{', '$'.concat('{')), bytes, certificateFacts(bytes).serialNumber)
}
const eui64 = Buffer.from('00db1234567890a1', 'hex')

const shapes: readonly [standard: string, forgery: ForgedCertificate, template: string, id: string][] = [
  [
    'IEEE 802.1AR IDevID',
    { subject: sequence(cn('Model 7'), serial('SN-0001')), extensions: [digitalSignature] },
    '{subject.serialNumber}',
    'SN-0001',
  ],
  [
    'IEEE 802.1AR IDevID with a hardwareModuleName',
    {
      subject: sequence(cn('Model 7')),
      extensions: [digitalSignature, extensionOf.subjectAltName(sequence(hardware(Buffer.from('HW-42'))))],
    },
    'maker-{san.hwSerialText}',
    'maker-HW-42',
  ],
  [
    'IEEE 2030.5',
    {
      subject: noName,
      extensions: [
        extensionOf.keyUsage(usageBits(0x88)),
        extensionOf.subjectAltName(sequence(hardware(eui64)), true),
        policies,
      ],
    },
    'der-{san.hwSerial}',
    'der-00db1234567890a1',
  ],
  [
    'GBCS',
    {
      subject: noName,
      extensions: [digitalSignature, extensionOf.subjectAltName(sequence(hardware(eui64)), true)],
    },
    '{san.hwSerial}',
    '00db1234567890a1',
  ],
  [
    'Wi-SUN FAN',
    {
      subject: noName,
      extensions: [digitalSignature, extensionOf.subjectAltName(sequence(hardware(eui64)), true)],
    },
    'ws-{san.hwSerial}',
    'ws-00db1234567890a1',
  ],
  [
    'Matter, by attributes',
    {
      subject: sequence(
        cn('ACME Matter DAC 0123456789'),
        attribute('2b0601040182a27c0201', 'FFF1'),
        attribute('2b0601040182a27c0202', '8000'),
      ),
      extensions: [digitalSignature],
    },
    'm-{matter.vid}-{matter.pid}-{serial}',
    'm-FFF1-8000-4a01',
  ],
  [
    'Matter, within the common name',
    { subject: sequence(cn('ACME Mpid:00B1 DAC 5CDA9899,Mvid:FFF1')), extensions: [digitalSignature] },
    'm-{matter.vid}-{matter.pid}',
    'm-FFF1-00B1',
  ],
  [
    'OPC UA application',
    {
      subject: sequence(cn('pump-7')),
      extensions: [
        extensionOf.keyUsage(usageBits(0xf0)),
        extensionOf.subjectAltName(
          sequence(der(0x86, Buffer.from('urn:plant:acme:pump-7')), der(0x82, Buffer.from('pump-7.plant'))),
        ),
      ],
    },
    'opc-{san.uri}',
    'opc-pump-7',
  ],
  [
    'Cisco SUDI',
    {
      subject: sequence(serial('PID:WS-C3850-24T SN:FOC1732X0ZZ'), cn('WS-C3850-24T-0024')),
      extensions: [extensionOf.keyUsage(usageBits(0xa0))],
    },
    '{subject.serialNumber.PID}.{subject.serialNumber.SN}',
    'WS-C3850-24T.FOC1732X0ZZ',
  ],
  [
    'a permanentIdentifier (RFC 4043)',
    {
      subject: noName,
      extensions: [digitalSignature, extensionOf.subjectAltName(sequence(permanent('A1-B2')), true)],
    },
    '{san.permanentIdentifier}',
    'A1-B2',
  ],
  [
    'a TPM endorsement key that may sign',
    {
      subject: noName,
      extensions: [
        digitalSignature,
        extensionOf.subjectAltName(
          sequence(der(0xa4, sequence(attribute('6781050201', 'id:49465800')))),
          true,
        ),
      ],
    },
    'tpm-{serial}',
    'tpm-4a01',
  ],
]

for (const [standard, forgery, template, id] of shapes) {
  test(`${standard}: ${template} names ${id}`, () => {
    const whole = { serialNumber: Buffer.of(0x4a, 1), ...forgery }
    assert.deepEqual(validateLeaf(forgedCertificate(whole), { pinned: true }), [])
    assert.equal(templateFault(template.replaceAll('{', '$'.concat('{'))), null)
    assert.deepEqual(named(template, whole), { deviceId: id })
  })
}

test('a name that is missing, there twice, or no device ID names nobody', () => {
  const rows: [template: string, forgery: ForgedCertificate, why: RegExp][] = [
    ['{san.hwSerial}', {}, /no value/],
    [
      '{san.hwSerial}',
      { extensions: [extensionOf.subjectAltName(sequence(hardware(eui64), hardware(Buffer.of(1))))] },
      /2 values/,
    ],
    [
      '{san.hwSerialText}',
      { extensions: [extensionOf.subjectAltName(sequence(hardware(eui64)))] },
      /is no device ID/,
    ],
    ['{subject.serialNumber.SN}', { subject: sequence(serial('PID:X')) }, /no value/],
    ['{subject.serialNumber.SN}', { subject: sequence(serial('SN:A SN:B')) }, /2 values/],
    ['{subject.serialNumber.SN}', { subject: sequence(serial('XSN:A')) }, /no value/],
    [
      '{matter.vid}',
      { subject: sequence(cn('Mvid:FFF1'), attribute('2b0601040182a27c0201', 'FFF2')) },
      /2 values/,
    ],
    ['{matter.vid}', { subject: sequence(cn('Mvid:FFF12')) }, /no value/],
    [
      '{san.permanentIdentifier}',
      { extensions: [extensionOf.subjectAltName(sequence(other('2b06010505070803', sequence())))] },
      /no value/,
    ],
  ]
  for (const [template, forgery, why] of rows) {
    const naming = named(template, forgery)
    assert.ok('fault' in naming, template)
    assert.match(naming.fault, why)
  }
  assert.match(templateFault('$'.concat('{subject.serialNumber.}')) ?? '', /subject\.serialNumber\.LABEL/)
})
