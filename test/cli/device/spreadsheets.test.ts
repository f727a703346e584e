// `rollcall device import` of spreadsheets as people have them, from the command line.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { workbookLines } from '../../../cli/device/workbook.ts'
import { workbook } from '../../harness/workbook.ts'
import { type Service, startService } from '../../provisioning/harness.ts'
import { rollcallHere } from '../in-process.ts'

let service: Service
let folder: string
before(async () => {
  service = await startService()
  folder = mkdtempSync(join(tmpdir(), 'rollcall-sheets-'))
})
after(async () => {
  await service[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

function file(name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const imported = (...args: string[]) =>
  rollcallHere('device', 'import', ...args, '--api', service.url, '--data', service.directory)
const device = async (id: string) => (await service.call('GET', `/v1/devices/${id}`)).body

test('a table of Excel in German is understood, and one line says how', async () => {
  const text = 'Device ID;Serial;Gruppe\r\npumpe-1;4711;"pumps;north"\r\npumpe-2;4712;\r\n'
  const path = file('geräte.csv', Buffer.from(`\ufeff${text}`, 'utf16le'))
  const { code, stderr } = await imported(path, '--map', 'groups=Gruppe')
  assert.equal(code, 0, stderr)
  assert.match(
    stderr,
    /geräte\.csv: table with semicolons, UTF-16; Device ID → deviceId, Serial → attr\.SerialNumber, Gruppe → groups$/m,
  )
  const { attributes, groups } = await device('pumpe-1')
  assert.deepEqual([attributes, groups], [{ SerialNumber: '4711' }, ['north', 'pumps']])
})

test('a workbook is read as it is: texts, numbers, quotes', async () => {
  const path = file(
    'fleet.xlsx',
    workbook([
      ['Device', 'Serial', 'Site'],
      ['x-1', 4711, 'a "b", c'],
      ['x-2', 4712, ''],
    ]),
  )
  const { code, stderr } = await imported(path, '--map', 'attr.site=Site')
  assert.equal(code, 0, stderr)
  assert.match(
    stderr,
    /fleet\.xlsx: workbook; Device → deviceId, Serial → attr\.SerialNumber, Site → attr\.site$/m,
  )
  assert.deepEqual((await device('x-1')).attributes, { SerialNumber: '4711', site: 'a "b", c' })
  const sheet = await imported(path, '--sheet', 'Other')
  assert.deepEqual([sheet.code, /cannot be read as a workbook/.test(sheet.stderr)], [1, true])
  const broken = await imported(file('broken.xlsx', 'no workbook'))
  assert.deepEqual([broken.code, /broken\.xlsx cannot be read as a workbook/.test(broken.stderr)], [1, true])
  assert.match(broken.stderr, /hint: save it anew as \.xlsx, or export it as CSV/)
})

test('a dry run sums up, names what is wrong by its line, and writes each row to a file', async () => {
  const lines = ['Device ID,Serial', ...Array.from({ length: 1_200 }, (_, at) => `g-${at},${at}`)]
  lines[17] = 'not an ID,1'
  lines[1_000] = 'g-1,2'
  const results = join(folder, 'judged.jsonl')
  const { code, stdout, stderr } = await imported(
    file('many.csv', lines.join('\n')),
    '--dry-run',
    '--results',
    results,
  )
  assert.equal(code, 1)
  assert.match(stderr, /^dry run: 1,198 new, 2 wrong$/m)
  assert.match(stderr, /^line 18: row_invalid: deviceId is not/m)
  assert.match(stderr, /^line 1001, g-1: row_duplicate: row 2 names this device$/m)
  assert.match(
    stderr,
    /^error: 2 of 1200 rows were refused\nhint: all of them: (?:\.\/)?rollcall job results/m,
  )
  assert.ok(stdout.split('\n').length < 30, 'no row by row')
  const judged = readFileSync(results, 'utf8').trim().split('\n')
  assert.deepEqual([judged.length, JSON.parse(judged[17]!).deviceId], [1_200, 'g-17'])
  const each = await imported(join(folder, 'many.csv'), '--dry-run', '-o', 'jsonl')
  assert.equal(each.stdout.trim().split('\n').length, 1_200)
})

test('a column that stands for nothing is shown as unknown, and its rows say how to map it', async () => {
  const { code, stderr } = await imported(file('unknown.csv', 'Device,Hall\nu-1,A\n'))
  assert.equal(code, 1)
  assert.match(stderr, /Device → deviceId, Hall → unknown$/m)
  assert.match(stderr, /line 2, u-1: row_invalid: unknown field "?Hall"?: map it with attr\.NAME/)
})

test('what is wrong with the file is said of the file, before the service is asked', async () => {
  const at = ['--api', 'https://127.0.0.1:9', '--data', service.directory]
  const asked = (name: string, ...more: string[]) => rollcallHere('device', 'import', name, ...more, ...at)
  const missing = await asked(join(folder, 'missing.csv'))
  assert.equal(missing.code, 1)
  assert.match(
    missing.stderr,
    /^error: the rows cannot be read: no such file \(.*missing\.csv\)\nhint: check the path$/m,
  )
  const old = await asked('fleet.xls')
  assert.deepEqual([old.code, /save it as \.xlsx or \.csv/.test(old.stderr)], [2, true])
  const pipe = await asked('-', '--format', 'xlsx')
  assert.deepEqual([pipe.code, /a workbook is read from a file/.test(pipe.stderr)], [2, true])
  const directory = await imported(folder, '--format', 'csv')
  assert.match(directory.stderr, /it is a directory/)
})

test('a workbook whose cells take more memory or time than reading one may ends with a word, and not the command', async () => {
  const rows = Array.from({ length: 20_000 }, (_, row) => [`w-${row}`, 'x'.repeat(50), row])
  const path = file('many.xlsx', workbook([['deviceId', 'a', 'b'], ...rows]))
  const read = (bounds: { heapMibMax: number; readingMsMax: number }) =>
    workbookLines(path, undefined, bounds)
  await assert.rejects(read({ heapMibMax: 12, readingMsMax: 60_000 }), /more than 12 MiB of memory/)
  await assert.rejects(read({ heapMibMax: 500, readingMsMax: 1 }), /longer than 0.001 s/)
  assert.ok(await read({ heapMibMax: 500, readingMsMax: 60_000 }))
})
