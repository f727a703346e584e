// Times on the wire are what JavaScript makes of them, whatever the moment.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { time } from '../../../provisioning/http/api.ts'

const YEAR_MS = 365.25 * 86_400_000

test('a time is written as toISOString does it', () => {
  const moments = [
    0, 1, -1, 999, 86_399_999, 86_400_000, 253_402_300_799_999, 253_402_300_800_000, 8.64e15, -8.64e15,
  ]
  for (let at = -80 * YEAR_MS; at < 160 * YEAR_MS; at += 6_543_210_987) moments.push(Math.floor(at))
  for (const at of moments) assert.equal(time(at), new Date(at).toISOString())
  // Again, when their days are known.
  for (const at of moments) assert.equal(time(at), new Date(at).toISOString())
})

test('no time is made of what is none', () => {
  for (const at of [Number.NaN, Number.POSITIVE_INFINITY, 8.65e15]) assert.throws(() => time(at), RangeError)
})
