// Files as they come: editors' byte order marks, Windows' line ends, quotes, and what is made to break a parser.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { csvLine } from '../../../provisioning/jobs/export-lines.ts'
import { readRecords, type UploadFormat } from '../../../provisioning/jobs/records.ts'
import { readRow } from '../../../provisioning/jobs/row.ts'
import { createSeenDevices } from '../../../provisioning/jobs/seen-devices.ts'

async function* inParts(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size)
}

async function records(content: string | Buffer, format: UploadFormat, size = 7) {
  const found = []
  for await (const record of readRecords(inParts(Buffer.from(content), size), format)) found.push(record)
  return found
}

const told = (found: Awaited<ReturnType<typeof records>>) =>
  found.map(one =>
    'fault' in one ? `${one.line} ${one.fault.reason}` : `${one.line} ${JSON.stringify(one.record)}`,
  )

test('JSON lines: blank lines, CRLF, a byte order mark and a last line without an end', async () => {
  const text = '\ufeff{"a":1}\r\n\r\n{"a":"\u2028ü"}\nnonsense\n[1]\n"x"\n{"a":2}'
  assert.deepEqual(told(await records(text, 'ndjson')), [
    '1 {"a":1}',
    '3 {"a":"\u2028ü"}',
    '4 row_malformed',
    '5 row_malformed',
    '6 row_malformed',
    '7 {"a":2}',
  ])
  const broken = Buffer.concat([
    Buffer.from('{"a":"'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('"}\n{"a":"\0"}\n'),
  ])
  assert.deepEqual(told(await records(broken, 'ndjson')), ['1 row_malformed', '2 row_malformed'])
  assert.deepEqual(told(await records('{"a":"-----BEGIN PRIVATE KEY-----"}\n{"b":1}\n', 'ndjson')), [
    '1 private_key_sent',
    '2 {"b":1}',
  ])
})

test('an upload that is not read to its end is let go of, so that its connection serves other requests', async () => {
  for (const [format, content] of [
    ['csv', 'deviceId,site\n"a"b,c\n'],
    ['csv', 'deviceId,deviceId\na,b\n'],
    ['csv', 'deviceId\na\n'],
    ['ndjson', '{"deviceId":"a"}\n'],
  ] as const) {
    let letGo = false
    async function* endless() {
      try {
        for (;;) yield Buffer.from(content)
      } finally {
        letGo = true
      }
    }
    try {
      for await (const _ of readRecords(endless(), format)) break
    } catch {
      // The table is none.
    }
    assert.ok(letGo, content)
  }
})

test('a line of 100 MB costs one row and no memory', async () => {
  const part = Buffer.alloc(1024 * 1024, 'x')
  async function* long() {
    yield Buffer.from('{"a":1}\n{"b":"')
    for (let index = 0; index < 100; index += 1) yield part
    yield Buffer.from('"}\n{"c":1}\n')
  }
  const before = process.memoryUsage().arrayBuffers
  const found = []
  let peak = 0
  for await (const record of readRecords(long(), 'ndjson')) {
    found.push(record)
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
  }
  assert.deepEqual(told(found), ['1 {"a":1}', '2 row_too_long', '3 {"c":1}'])
  assert.ok(peak < 16 * 2 ** 20, `${peak} bytes`)
})

test('CSV: quotes, line feeds in cells, CRLF, a byte order mark, empty lines, too many cells', async () => {
  const text = '\ufeffa,b\r\n"1, ""x""","two\nlines"\r\n\r\n3\r\n4,5,6\r\n\'=1,\'-x\r\n'
  assert.deepEqual(
    told(await records(text, 'csv')).map(line => line.replace(/^\d+ /, '')),
    ['{"a":"1, \\"x\\"","b":"two\\nlines"}', 'row_malformed', 'row_malformed', '{"a":"=1","b":"-x"}'],
  )
  // Each is named by the line where it begins, which is where somebody looks for it.
  assert.deepEqual(
    told(await records(text, 'csv')).map(line => Number.parseInt(line, 10)),
    [2, 5, 6, 7],
  )
  assert.deepEqual(told(await records('a\nEC PRIVATE KEY\nb\n', 'csv')), [
    '2 private_key_sent',
    '3 {"a":"b"}',
  ])
})

test('CSV that cannot be gone on from says where', async () => {
  const cases: [string, string, RegExp][] = [
    ['a quote that is never closed', `a,b\n1,"${'x'.repeat(100_000)}`, /line 2|longer than/],
    ['a quote inside a cell', 'a,b\n1,x"y"\n', /line 2 is no CSV/],
    ['a header with a name twice', 'a,a\n1,2\n', /same name/],
    ['a header without a name', 'a,\n1,2\n', /no name/],
    [
      'a header of 201 columns',
      `${Array.from({ length: 201 }, (_, at) => `c${at}`).join()}\n`,
      /200 columns/,
    ],
  ]
  for (const [name, text, words] of cases) {
    await assert.rejects(records(text, 'csv', 4096), error => {
      assert.match((error as Error).message, words, name)
      assert.equal((error as { reason?: string }).reason, 'upload_unusable')
      return true
    })
  }
})

test('what an export writes as CSV is no formula, and comes back as it was', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.stringMatching(/^[-A-Za-z0-9._]{1,20}$/).filter(id => id !== '.' && id !== '..' && !(id in {})),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.stringMatching(/^[ -~]{0,20}$/), { maxKeys: 3 }),
      fc.array(fc.stringMatching(/^[-a-z]{1,8}$/), { maxLength: 3 }),
      async (deviceId, attributes, groups) => {
        const device = { deviceId, attributes, groups, state: 'active' as const, createdAt: 0, updatedAt: 0 }
        const line = csvLine({ ...device, certificates: [], lastSeen: null })
        for (const cell of parse(line)[0] ?? []) assert.doesNotMatch(cell, /^[=+\-@\t\r]/)
        const header = 'deviceId,state,groups,attributes,createdAt,updatedAt,certificate.count'
        const text = `${header}\r\n${line.replace(/,{18}\r\n$/, '\r\n')}`
        const [found] = await records(text, 'csv')
        assert.ok(found !== undefined && 'record' in found, JSON.stringify(found))
        const verdict = readRow(found.record, new Map(), true)
        assert.ok('row' in verdict, JSON.stringify(verdict))
        assert.equal(verdict.row.deviceId, deviceId)
        assert.deepEqual({ ...verdict.row.attributes }, { ...attributes })
        if (groups.length > 0) assert.deepEqual(verdict.row.groups, [...new Set(groups)])
      },
    ),
    { numRuns: 200 },
  )
})

test('a device that a file names twice is found, among a hundred thousand', () => {
  const seen = createSeenDevices()
  for (let row = 1; row <= 100_000; row += 1) assert.equal(seen.firstRow(`device-${row}`, row), null)
  assert.equal(seen.firstRow('device-1', 7), 1)
  assert.equal(seen.firstRow('device-99999', 7), 99_999)
})
