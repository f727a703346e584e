// What the console works out by itself, without a browser: lines of a draft, differences, columns of a file, attributes.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatAttributes, parseAttributes, parseGroups } from '../../console/labels/attributes.ts'
import { eventKinds } from '../../console/labels/events.ts'
import { revocationReasons as shownReasons } from '../../console/labels/revocation-reasons.ts'
import { columnsOf, mappingOf } from '../../console/pages/enroll/csv-columns.ts'
import { textOf } from '../../console/pages/enroll/file-text.ts'
import { documentText, validateDraft } from '../../console/pages/policies/draft.ts'
import { readJson } from '../../console/pages/policies/json-lines.ts'
import { lineDiff } from '../../console/pages/policies/line-diff.ts'
import { kinds } from '../../db/events/event-kind.ts'
import { revocationReasons } from '../../pki/revocation-reason.ts'
import type { Action } from '../../policy/document.ts'

describe('JSON with its lines', () => {
  it('reads what JSON.parse reads, and refuses what it refuses', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.nat(), (text, at) => {
        const read = readJson(text)
        const parsed = JSON.parse(text)
        // A name that is there twice is a fault here: one of the two would be lost.
        if ('fault' in read) assert.match(read.fault.message, /twice/)
        else assert.deepEqual(read.value, parsed)
        const broken = text.slice(0, at % text.length)
        assert.equal('fault' in readJson(broken), !parses(broken))
      }),
    )
  })

  it('says on which line a value begins, or what is wrong and where', () => {
    const read = readJson('{\n  "name": "a",\n  "statements": [\n    {},\n    { "effect": 1 }\n  ]\n}')
    assert.ok('lines' in read)
    assert.deepEqual(
      ['name', 'statements', 'statements[1]', 'statements[1].effect'].map(path => read.lines.get(path)),
      [2, 3, 5, 5],
    )
    const faults: [text: string, line: number, message: RegExp][] = [
      ['{\n"a": 1\n"b": 2 }', 3, /comma or }/],
      ['{\n\n"a" 1}', 3, /colon/],
      ['[1,\n]', 2, /a value is expected here, not "]"/],
      ['{"a": "x\n"}', 1, /does not end on its line/],
      ['{"a": 1}\nx', 2, /nothing more/],
      ['', 1, /the text ends here/],
      ['{"a": 1,\n"a": 2}', 2, /twice/],
      ['['.repeat(100_000), 1, /too deeply/],
    ]
    for (const [text, line, message] of faults) {
      const said = readJson(text)
      assert.ok('fault' in said, text)
      assert.equal(said.fault.line, line, text)
      assert.match(said.fault.message, message)
    }
  })

  it('puts every fault of a policy at its line, one of something missing at what should hold it', () => {
    const text =
      '{\n  "name": "b",\n  "statements": [\n    { "effect": "allow",\n      "topics": ["a/#/b"] }\n  ]\n}'
    const { faults } = validateDraft(text, 'b')
    assert.deepEqual(
      faults.map(({ line, path }) => [line, path]),
      [
        [4, 'statements[0].actions'],
        [5, 'statements[0].topics[0]'],
      ],
    )
    assert.equal(validateDraft('{"name": "b", "statements": []}', 'a').faults[0]?.path, 'name')
    assert.deepEqual(validateDraft('{"name": "b", "statements": []}', 'b').faults, [])
  })
})

it('a document as it is shown is the document, however its topics are written', () => {
  const topic = fc.oneof(fc.string(), fc.constantFrom('a, "b" ]', 'a"  ]', '\n', '[ "x" ]', 'devices/+/#'))
  const statement = fc.record(
    {
      effect: fc.constant('allow' as const),
      topics: fc.array(topic),
      actions: fc.constant<Action[]>([]),
    },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.array(statement), statements => {
      const document = { name: 'a', statements }
      assert.deepEqual(JSON.parse(documentText(document)), document)
    }),
  )
  assert.match(
    documentText({
      name: 'a',
      statements: [{ effect: 'deny', actions: ['will', 'publish'], topics: ['t'] }],
    }),
    /"actions": \["will", "publish"\],\n/,
  )
})

it('a difference of two texts gives back both of them', () => {
  const lines = fc.array(fc.constantFrom('a', 'b', 'c', '  d'), { maxLength: 12 })
  fc.assert(
    fc.property(lines, lines, (before, after) => {
      const diff = lineDiff(before.join('\n'), after.join('\n'))!
      const side = (other: string) => diff.filter(({ kind }) => kind !== other).map(({ text }) => text)
      assert.equal(side('new').join('\n'), before.join('\n'))
      assert.equal(side('gone').join('\n'), after.join('\n'))
    }),
  )
  assert.deepEqual(
    lineDiff('a\nb\nc\n', 'a\nx\nc\n')?.map(({ kind, text }) => `${kind} ${text}`),
    ['same a', 'gone b', 'new x', 'same c'],
  )
  assert.equal(lineDiff('x\n'.repeat(3_000), ''), null)
})

describe('the columns of a file', () => {
  it('are fields where their names say so, and attributes where not', () => {
    const columns = columnsOf('\ufeffThing Name,attr.site,"Hall, old",csr\r\npump-1,north,"A ""1""",x\r\n')
    assert.deepEqual(
      columns.map(({ field, sample }) => [field, sample]),
      [
        ['deviceId', 'pump-1'],
        ['attr.site', 'north'],
        ['attr.Hall-old', 'A "1"'],
        ['csr', 'x'],
      ],
    )
    assert.deepEqual(mappingOf(columns), ['deviceId=Thing Name', 'attr.Hall-old=Hall, old'])
  })

  it('name the device once, however many may mean it', () => {
    const columns = columnsOf('deviceId,name\na,b\n')
    assert.deepEqual(mappingOf(columns), ['attr.name=name'])
    assert.deepEqual(columnsOf(''), [])
    assert.deepEqual(mappingOf(columnsOf('Name,Device ID\na,b\n')), ['attr.Name=Name', 'deviceId=Device ID'])
    assert.deepEqual(mappingOf(columnsOf('Name,Hall\na,b\n')), ['deviceId=Name', 'attr.Hall=Hall'])
  })

  it('are found in a file as spreadsheets write it', () => {
    const rows = 'Gerät;"Halle; alt";Certificate\r\npump-1;Süd;x\r\n'
    const shown = (bytes: Uint8Array) =>
      columnsOf(textOf(bytes)).map(({ name, field, sample }) => [name, field, sample])
    const expected = [
      ['Gerät', 'attr.Ger-t', 'pump-1'],
      ['Halle; alt', 'attr.Halle-alt', 'Süd'],
      ['Certificate', 'certificate', 'x'],
    ]
    assert.deepEqual(shown(Buffer.from(rows)), expected)
    assert.deepEqual(shown(Buffer.from(`\ufeff${rows}`)), expected)
    assert.deepEqual(shown(Buffer.from(rows, 'latin1')), expected, 'Windows-1252')
    assert.deepEqual(shown(Buffer.from(`\ufeff${rows}`, 'utf16le')), expected)
    assert.deepEqual(shown(Buffer.from(rows, 'utf16le')), expected, 'without a mark')
    assert.deepEqual(shown(Buffer.from(`sep=;\r\n${rows}`)), expected)
    assert.deepEqual(
      columnsOf('deviceId\tsite\na\tb\n').map(({ name }) => name),
      ['deviceId', 'site'],
    )
    const cut = Buffer.from('deviceId,site\na,ü')
    assert.deepEqual(
      shown(cut.subarray(0, cut.length - 1)).at(-1),
      ['site', 'attr.site', ''],
      'cut within a character',
    )
  })
})

it('attributes and groups are read as they are written', () => {
  const value = fc.string({ unit: 'grapheme-ascii' }).map(text => text.trim())
  const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9._-]{0,10}$/)
  fc.assert(
    fc.property(fc.dictionary(name, value, { noNullPrototype: true }), attributes => {
      assert.deepEqual(parseAttributes(formatAttributes(attributes)), attributes)
    }),
  )
  assert.equal(parseAttributes('site=north\nhall'), 'Line 2 is not name=value.')
  assert.equal(parseAttributes('a=1\n\na=2'), 'Line 3 names a again.')
  assert.deepEqual(parseGroups(' a, b,,a '), ['a', 'b'])
})

it('every kind of event and every reason of a revocation has its words', () => {
  assert.deepEqual(eventKinds.toSorted(), kinds.toSorted())
  assert.deepEqual(shownReasons.toSorted(), revocationReasons.toSorted())
})

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
