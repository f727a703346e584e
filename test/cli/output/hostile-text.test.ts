// Text that devices choose, as a topic is, in what programs read: a terminal that shows it obeys none of it, and nothing of it is lost.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { report } from '../../../cli/errors.ts'
import { type Format, printDocument, printPages } from '../../../cli/output/format.ts'

/** CSI and OSC of one character, of two, a change of direction, an invisible character, one beyond the first plane. */
const hostile = [
  'a\u009b31mb',
  'a\u009d0;t\u0007b',
  'a\u001b[2Jb\nc',
  'a\u202eb',
  'a\u200bb',
  'a\u{e0041}b',
  'é 🙂 "q" \\u',
]
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

function sink() {
  let written = ''
  return {
    write(text: string) {
      written += text
      return true
    },
    text: () => written,
  }
}

async function* once<Item>(items: Item[]) {
  yield items
}

test('JSON, JSON lines and YAML hold it as escapes', async () => {
  const documents = hostile.map(topic => ({ topic, nested: { list: [topic] } }))
  const read: Record<Exclude<Format, 'table'>, (text: string) => unknown> = {
    json: text => JSON.parse(text),
    jsonl: text =>
      text
        .trimEnd()
        .split('\n')
        .map(line => JSON.parse(line)),
    yaml: text => parse(text),
  }
  for (const format of ['json', 'jsonl', 'yaml'] as const) {
    const out = sink()
    await printPages(once(documents), [], format, out)
    assert.doesNotMatch(out.text().replaceAll('\n', ''), OBEYED, format)
    assert.deepEqual(read[format](out.text()), documents)
    const one = sink()
    await printDocument(documents[0]!, format, one)
    assert.doesNotMatch(one.text().replaceAll('\n', ''), OBEYED, format)
  }
  const error = sink()
  report(new Error(hostile.join()), error, 'json')
  assert.doesNotMatch(error.text().trimEnd(), OBEYED)
  assert.equal(JSON.parse(error.text()).error, hostile.join())
})

test('YAML without it stays as people write it', async () => {
  const out = sink()
  await printDocument({ topic: 'devices/é/🙂', text: 'a\nb' }, 'yaml', out)
  assert.equal(out.text(), 'topic: devices/é/🙂\ntext: |-\n  a\n  b\n')
})
