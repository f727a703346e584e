// Tables as people have them: every encoding and delimiter that a spreadsheet writes, and headings by what they mean.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { columnsOf } from '../../../provisioning/jobs/columns.ts'
import { newLayout, readRecords } from '../../../provisioning/jobs/records.ts'
import { readMapping, readRow } from '../../../provisioning/jobs/row.ts'

async function* inParts(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size)
}

async function read(bytes: Buffer, size: number, format: 'csv' | 'ndjson' = 'csv') {
  const layout = newLayout()
  const found = []
  for await (const one of readRecords(inParts(bytes, size), format, layout))
    found.push('fault' in one ? `${one.line} ${one.fault.reason}` : [one.line, ...Object.values(one.record)])
  return { layout, found }
}

const TEXT = 'Gerät;Standort\r\nd-1;Köln – Süd\r\nd-2;"a;b"\r\n'
const rows = [
  [2, 'd-1', 'Köln – Süd'],
  [3, 'd-2', 'a;b'],
]
const windows = (text: string) => Buffer.from(text.replaceAll('–', '\x96'), 'latin1')
const bigEndian = (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le').swap16()

const encodings: Record<string, [Buffer, string]> = {
  'UTF-8': [Buffer.from(TEXT), 'UTF-8'],
  'UTF-8 with a byte order mark': [Buffer.from(`\ufeff${TEXT}`), 'UTF-8'],
  'UTF-16, little end first': [Buffer.from(`\ufeff${TEXT}`, 'utf16le'), 'UTF-16'],
  'UTF-16, big end first': [bigEndian(TEXT), 'UTF-16'],
  'UTF-16 without a mark': [Buffer.from(TEXT, 'utf16le'), 'UTF-16'],
  'Windows-1252': [windows(TEXT), 'Windows-1252'],
}
for (const [name, [bytes, encoding]] of Object.entries(encodings)) {
  test(`${name} is found out, however the bytes come`, async () => {
    for (const size of [1, 2, 3, 5, 7, 64, 4096]) {
      const { layout, found } = await read(bytes, size)
      assert.deepEqual(
        [layout.encoding, layout.delimiter, layout.header],
        [encoding, ';', ['Gerät', 'Standort']],
      )
      assert.deepEqual(found, rows, `parts of ${size}`)
    }
  })
}

test('what is short, or becomes Windows-1252 late, is read to its end', async () => {
  const late = Buffer.concat([Buffer.from(`id,x\n${'d,plain\n'.repeat(9_000)}`), windows('e,\xe9')])
  for (const size of [1000, 65_536]) {
    const { layout, found } = await read(late, size)
    assert.deepEqual([layout.encoding, found.at(-1)], ['Windows-1252', [9_002, 'e', 'é']])
  }
  assert.deepEqual((await read(windows('é'), 1)).layout.header, ['é'])
  assert.deepEqual((await read(Buffer.from('é'), 1)).layout.header, ['é'])
  assert.deepEqual((await read(Buffer.from('a'), 1)).layout.header, ['a'])
})

test('once it is UTF-8 a row that is none is refused, and JSON lines are UTF-8 or UTF-16', async () => {
  const { found } = await read(
    Buffer.concat([Buffer.from('id,x\na,é\nb,'), windows('\xe9\n'), Buffer.from('c,d\n')]),
    7,
  )
  assert.deepEqual(found, [[2, 'a', 'é'], '3 row_malformed', [4, 'c', 'd']])
  const line = '{"deviceId":"ü"}\n'
  assert.deepEqual((await read(Buffer.from(`\ufeff${line}`, 'utf16le'), 3, 'ndjson')).found, [[1, 'ü']])
  assert.deepEqual((await read(windows(line), 3, 'ndjson')).found, ['1 row_malformed'])
})

test('the delimiter is that of the header, or the one that Excel names', async () => {
  const delimiterOf = async (text: string) => (await read(Buffer.from(text), 4)).layout.delimiter
  assert.equal(await delimiterOf('id,groups\na,b;c\n'), ',')
  assert.equal(await delimiterOf('id;"a,b,c,d"\n'), ';')
  assert.equal(await delimiterOf('id\tx\na\tb\n'), '\t')
  assert.equal(await delimiterOf('deviceId\na\n'), ',')
  const said = await read(Buffer.from('sep=;\r\nid;x\r\na;b,c\r\n'), 4)
  assert.deepEqual([said.layout.delimiter, said.found], [';', [[3, 'a', 'b,c']]])
})

const none = readMapping([]) as Exclude<ReturnType<typeof readMapping>, string>
const fieldsOf = (header: string[], pairs: string[] = []) =>
  columnsOf(header, readMapping(pairs) as typeof none).columns.map(({ field }) => field)

test('headings are known by what they mean', () => {
  assert.deepEqual(fieldsOf(['Device ID', 'Serial', 'Certificate']), [
    'deviceId',
    'attr.SerialNumber',
    'certificate',
  ])
  assert.deepEqual(fieldsOf(['device_id', 'Serial No.', 'CSR']), ['deviceId', 'attr.SerialNumber', 'CSR'])
  assert.deepEqual(fieldsOf(['Name', 'Group']), ['deviceId', 'groups'])
  // A name is none of a device where another column names it.
  assert.deepEqual(fieldsOf(['Name', 'Device ID', 'Hall']), [null, 'deviceId', null])
  assert.deepEqual(fieldsOf(['id', 'Device']), ['id', null])
  // What was mapped comes first, and a field is given once.
  assert.deepEqual(fieldsOf(['Device', 'Serial'], ['deviceId=Serial']), [null, 'deviceId'])
  assert.deepEqual(fieldsOf(['Serial', 'SN']), ['attr.SerialNumber', null])
  assert.deepEqual(fieldsOf(['deviceId', 'attr.site', 'certificate.status', 'lastSeen.reason']), [
    'deviceId',
    'attr.site',
    'certificate.status',
    'lastSeen.reason',
  ])
})

test('a row is read by them, and groups stand between commas or semicolons', () => {
  const { mapping } = columnsOf(['Device ID', 'Serial', 'Groups'], none)
  const record = { 'Device ID': 'd1', Serial: '4711', Groups: 'pumps, north;x' }
  assert.deepEqual(readRow(record, mapping, true), {
    row: { deviceId: 'd1', attributes: { SerialNumber: '4711' }, groups: ['pumps', 'north', 'x'] },
  })
})

test('an export of devices that connected can be imported again', () => {
  const lastSeen = { connectedAt: '2026-11-30T00:00:00.000Z', reason: 'client_disconnect' }
  assert.deepEqual(readRow({ id: 'd1', lastSeen, createdAt: 'x' }, none, false), { row: { deviceId: 'd1' } })
  assert.deepEqual(readRow({ id: 'd1', 'lastSeen.reason': 'x' }, none, true), { row: { deviceId: 'd1' } })
})
