// When a certificate is due for renewal, also where its life is longer than anything that lives.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renewalCriticalAt, renewalOpensAt } from '../../pki/renewal-window.ts'

const year = (at: number) => new Date(at).getUTCFullYear()

test('two thirds and nine tenths of a life, counted as twenty years at most', () => {
  const usual = { notBefore: 0, notAfter: 90_000 }
  assert.deepEqual([renewalOpensAt(usual), renewalCriticalAt(usual)], [60_000, 81_000])
  // One that was always old is not due since 2016, and one without an end is due before it.
  const old = { notBefore: Date.UTC(1950, 0), notAfter: Date.UTC(2049, 11) }
  assert.deepEqual([year(renewalOpensAt(old)), year(renewalCriticalAt(old))], [2043, 2047])
  const endless = { notBefore: Date.UTC(2020, 0), notAfter: Date.UTC(9999, 11, 31) }
  assert.deepEqual([year(renewalOpensAt(endless)), year(renewalCriticalAt(endless))], [9993, 9997])
})
