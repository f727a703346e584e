// What a line of a file comes to: our fields, AWS's, Azure's; and that no value of a row is ever repeated in a refusal.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Mapping, readMapping, readRow } from '../../../provisioning/jobs/row.ts'

const none: Mapping = new Map()
const read = (record: object, mapping = none, text = false) =>
  readRow(record as Record<string, unknown>, mapping, text)
const csr = '-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n'
const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n'

test('rows that can be meant', async t => {
  const accepted: [name: string, record: object, row: object][] = [
    ['a device alone', { deviceId: 'a' }, { deviceId: 'a' }],
    ['by the name that the API gives it', { id: 'a' }, { deviceId: 'a' }],
    [
      'attributes and groups',
      { deviceId: 'a', attributes: { site: 'north' }, 'attr.rack': '7', groups: ['g', 'g'] },
      { deviceId: 'a', attributes: { site: 'north', rack: '7' }, groups: ['g'] },
    ],
    ['a CSR and its days', { deviceId: 'a', csr, days: 30 }, { deviceId: 'a', csr, days: 30 }],
    [
      'a certificate',
      { deviceId: 'a', certificate: pem, trust: 'pinned' },
      { deviceId: 'a', certificates: [{ certificate: pem, trust: 'pinned' }] },
    ],
    [
      'a line of an export: what no longer admits is left out',
      {
        deviceId: 'a',
        state: 'suspended',
        attributes: {},
        groups: [],
        createdAt: '2026-01-01T00:00:00.000Z',
        updatedAt: '2026-01-01T00:00:00.000Z',
        certificates: [
          { fingerprint: 'x', status: 'revoked', trust: 'chained', certificate: pem },
          { fingerprint: 'y', status: 'active', trust: 'chained', certificate: pem },
        ],
      },
      {
        deviceId: 'a',
        attributes: {},
        groups: [],
        certificates: [{ certificate: pem, trust: 'chained' }],
        state: 'suspended',
      },
    ],
    [
      'AWS bulk registration',
      { ThingName: 'foo', SerialNumber: '123', CSR: csr },
      { deviceId: 'foo', attributes: { SerialNumber: '123' }, csr },
    ],
    [
      'Azure, authenticated by a CA',
      {
        id: 'az-1',
        eTag: 'MA==',
        status: 'enabled',
        authentication: {
          type: 'certificateAuthority',
          symmetricKey: { primaryKey: null, secondaryKey: null },
          x509Thumbprint: { primaryThumbprint: null, secondaryThumbprint: null },
        },
        capabilities: { iotEdge: false },
        tags: { site: 'north' },
      },
      { deviceId: 'az-1', attributes: { site: 'north' } },
    ],
    [
      'Azure, disabled',
      { id: 'az-2', importMode: 'createOrUpdate', status: 'disabled', authentication: null },
      { deviceId: 'az-2', state: 'suspended' },
    ],
  ]
  for (const [name, record, row] of accepted) {
    await t.test(name, () => {
      const verdict = read(record)
      assert.ok('row' in verdict, JSON.stringify(verdict))
      assert.deepEqual(verdict.row, { ...row })
    })
  }
})

test('rows that cannot', async t => {
  const refused: [name: string, record: object, reason: string, words: RegExp][] = [
    ['no ID', { groups: [] }, 'row_invalid', /deviceId is missing/],
    ['an ID that is none', { deviceId: 'a/b' }, 'row_invalid', /deviceId is not/],
    ['an inherited name', { deviceId: '__proto__' }, 'row_invalid', /deviceId is not/],
    ['an unknown field', { deviceId: 'a', colour: 'red' }, 'row_invalid', /unknown field "colour"/],
    ['a number as an attribute', { deviceId: 'a', attributes: { n: 1 } }, 'row_invalid', /attribute "n"/],
    ['a control character', { deviceId: 'a', attributes: { n: 'a\u0000' } }, 'row_invalid', /printable/],
    ['days without a CSR', { deviceId: 'a', days: 3 }, 'row_invalid', /days is for a csr/],
    ['too many days', { deviceId: 'a', csr, days: 826 }, 'row_invalid', /1 to 825/],
    ['trust without a certificate', { deviceId: 'a', trust: 'pinned' }, 'row_invalid', /for a certificate/],
    [
      'a field twice',
      { deviceId: 'a', ThingName: 'b', CSR: csr, csr: pem },
      'row_invalid',
      /given twice|unknown/,
    ],
    [
      'a private key as CSR',
      { deviceId: 'a', csr: '-----BEGIN PRIVATE KEY-----' },
      'private_key_sent',
      /not kept/,
    ],
    [
      'a private key as attribute',
      { deviceId: 'a', attributes: { k: 'RSA PRIVATE KEY' } },
      'private_key_sent',
      /./,
    ],
    ['an AWS name with a colon', { ThingName: 'a:b', CSR: csr }, 'row_invalid', /deviceId is not/],
    [
      'an Azure shared key',
      { id: 'a', authentication: { type: 'sas', symmetricKey: { primaryKey: 'c2VjcmV0' } } },
      'row_unsupported',
      /shared keys open nothing/,
    ],
    [
      'an Azure thumbprint',
      { id: 'a', authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: 'AB12' } } },
      'row_unsupported',
      /give the certificate itself/,
    ],
    [
      'an Azure deletion',
      { id: 'a', importMode: 'delete', status: 'enabled' },
      'row_unsupported',
      /importMode/,
    ],
    [
      'an Azure edge device',
      { id: 'a', eTag: 'x', capabilities: { iotEdge: true } },
      'row_unsupported',
      /iotEdge/,
    ],
    [
      'an Azure twin',
      { id: 'a', eTag: 'x', properties: { desired: { on: 1 } } },
      'row_unsupported',
      /desired/,
    ],
    [
      'a nested Azure tag',
      { id: 'a', eTag: 'x', tags: { place: { floor: '1' } } },
      'row_unsupported',
      /"place"/,
    ],
  ]
  for (const [name, record, reason, words] of refused) {
    await t.test(name, () => {
      const verdict = read(record)
      assert.ok('reason' in verdict, JSON.stringify(verdict))
      assert.equal(verdict.reason, reason)
      assert.match(verdict.detail, words)
    })
  }
})

test('columns are mapped, and cells are text', () => {
  const mapping = readMapping(['deviceId=Name', 'attr.place=Where is it?', 'days=Days'])
  assert.ok(typeof mapping !== 'string')
  const cells = {
    Name: 'a',
    'Where is it?': 'here',
    groups: 'x; y',
    csr,
    Days: '7',
    state: '',
    attributes: '{"n":"1"}',
  }
  const verdict = read(cells, mapping, true)
  assert.deepEqual('row' in verdict && { ...verdict.row, attributes: { ...verdict.row.attributes } }, {
    deviceId: 'a',
    attributes: { n: '1', place: 'here' },
    groups: ['x', 'y'],
    csr,
    days: 7,
  })
  for (const pair of ['deviceId', '=x', 'colour=x', 'attr.__proto__=x', 'attr.a/b=x'])
    assert.equal(typeof readMapping([pair]), 'string', pair)
  assert.match(readMapping(['deviceId=a', 'deviceId=b']) as string, /twice/)
})

test('whatever a line holds, there is a verdict, and no value of it in a refusal', () => {
  const names = fc.constantFrom(
    'deviceId',
    'id',
    'csr',
    'authentication',
    'tags',
    'ThingName',
    'CSR',
    'certificates',
    'x',
  )
  fc.assert(
    fc.property(fc.dictionary(names, fc.oneof(fc.jsonValue(), fc.constant('SECRET-VALUE'))), record => {
      const verdict = read(record)
      if ('row' in verdict) return
      assert.doesNotMatch(verdict.detail, /SECRET-VALUE/)
    }),
    { numRuns: 2_000 },
  )
})
