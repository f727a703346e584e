// Times in text: the moment that is named, or nothing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHttpDate, parseInstant } from '../../pki/instant.ts'

test('a time of RFC 3339 is the moment that it names, and what names none is null', () => {
  const rows: [text: string, at: string | null][] = [
    ['2026-03-01T12:00:00Z', '2026-03-01T12:00:00.000Z'],
    ['2026-03-01t12:00:00z', '2026-03-01T12:00:00.000Z'],
    ['2026-03-01T12:00:00.123456Z', '2026-03-01T12:00:00.123Z'],
    ['2026-03-01T12:00:00+02:00', '2026-03-01T10:00:00.000Z'],
    ['0049-12-31T23:59:59Z', '0049-12-31T23:59:59.000Z'],
    ['2026-02-29T12:00:00Z', null],
    ['2026-04-31T12:00:00Z', null],
    ['2026-03-01T24:00:00Z', null],
    ['2026-03-01T12:00:60Z', null],
    ['2026-13-01T12:00:00Z', null],
    ['2026-03-01T12:00:00+99:00', null],
    ['2026-03-01T12:00:00', null],
    ['2026-03-01', null],
    ['Mar 1 2026', null],
    ['', null],
  ]
  for (const [text, expected] of rows) {
    const at = parseInstant(text)
    assert.equal(at === null ? null : new Date(at).toISOString(), expected, text)
  }
})

test('an HTTP date is the moment that it names, and what is none is null', () => {
  assert.equal(parseHttpDate('Sun, 06 Nov 1994 08:49:37 GMT'), Date.UTC(1994, 10, 6, 8, 49, 37))
  for (const text of ['', '1', '2026', 'Sun', 'Sun, 99 Nov 1994 08:49:37 GMT'])
    assert.equal(parseHttpDate(text), null)
})
