// The reason codes and the page that explains them, held against each other both ways.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type Reason, type ReasonEntry, reasonCodes, reasons } from '../db/reason.ts'

const page = readFileSync(new URL('../docs/reasons.md', import.meta.url), 'utf8')

/** How the page says what a device sees. */
const wordings: Record<ReasonEntry['seen'], RegExp> = {
  cut: /closed, without an MQTT answer/,
  close: /live connection closed/,
  '0x80': /SUBACK with 0x80/,
  1: /CONNACK 1 /,
  2: /CONNACK 2 /,
  3: /CONNACK 3 /,
  4: /CONNACK 4 /,
  5: /CONNACK 5 /,
}

type Entry = { code: string; text: string }

function entriesOf(markdown: string): Entry[] {
  return markdown
    .split(/^### /m)
    .slice(1)
    .map(section => {
      const code = section.slice(0, section.indexOf('\n')).trim()
      return { code, text: section.slice(code.length).split(/^## /m)[0]! }
    })
}

test('docs/reasons.md explains every reason code once, and no other', () => {
  const explained = entriesOf(page).map(entry => entry.code)
  assert.deepEqual([...explained].sort(), [...reasonCodes].sort())
})

test('docs/reasons.md says of each what happened, what the device sees and what to do', () => {
  for (const { code, text } of entriesOf(page)) {
    const [happened = '', ...points] = text.trim().split(/\n+/)
    assert.match(happened, /^\S.{20,}\.$/, `${code} does not say what happened`)
    const seen = points.find(point => point.startsWith('- **The device sees:** ')) ?? ''
    assert.match(
      seen,
      wordings[reasons[code as Reason].seen],
      `${code} says another thing than the code does`,
    )
    assert.ok(
      points.some(point => /^- \*\*What to do:\*\* .{10,}/.test(point)),
      `${code} does not say what to do`,
    )
  }
})

test('a missing, an extra and a repeated explanation are found', () => {
  const codes = (markdown: string) => entriesOf(markdown).map(entry => entry.code)
  assert.equal(codes(page.replace('### not_tls\n', '')).includes('not_tls'), false)
  assert.equal(codes(`${page}\n### made_up\n`).at(-1), 'made_up')
  assert.equal(codes(`${page}\n### not_tls\n`).filter(code => code === 'not_tls').length, 2)
})
