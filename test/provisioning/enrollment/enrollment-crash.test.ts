// kill -9 between deciding about a token's device and listing its certificate: closed at the next start, and asked again.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openForReading } from '../../../db/open.ts'
import { ask } from '../device-requests.ts'
import { makeCsr, startService, temporaryDirectory } from '../harness.ts'

const fixture = new URL('./fixtures/killed-enrollment.ts', import.meta.url).pathname

type Issuance = { serialNumber: string; fingerprint: string | null; abandoned: number }

function issuances(directory: string): Issuance[] {
  const { sqlite } = openForReading(join(directory, 'registry.db'))
  const rows = sqlite
    .prepare<[], Issuance>(
      `SELECT serial_number AS serialNumber, fingerprint, abandoned_at IS NOT NULL AS abandoned
       FROM issuances WHERE purpose = 'device' ORDER BY intended_at`,
    )
    .all()
  sqlite.close()
  return rows
}

for (const moment of ['before the signature', 'between signature and listing']) {
  test(`kill -9 ${moment}: the token is used up, but the same key gets its certificate after all`, async () => {
    using folder = temporaryDirectory()
    const { csr } = makeCsr('p256')
    const first = await startService({ data: folder.path })
    const { token, id } = (await first.call('POST', '/v1/enrollment-tokens', { group: 'pumps' })).body
    await first[Symbol.asyncDispose]()
    writeFileSync(join(folder.path, 'request.pem'), csr)
    const killed = { signal: 'SIGKILL' }
    assert.throws(
      () => execFileSync(process.execPath, [fixture, folder.path, moment, token], { stdio: 'pipe' }),
      killed,
    )

    // An hour later: the ten minutes for a lost answer are over, but there never was an answer.
    await using service = await startService({ data: folder.path, now: () => Date.now() + 60 * 60_000 })
    const [intended] = issuances(folder.path)
    assert.deepEqual([intended?.fingerprint, intended?.abandoned], [null, 1])
    const { items } = (await service.call('GET', '/v1/audit?action=certificate.abandon')).body
    assert.deepEqual(
      items.map((row: { detail: object }) => row.detail),
      [{ serialNumber: intended?.serialNumber, purpose: 'device' }],
    )
    const send = (request: string, deviceId: string) =>
      ask(
        service,
        null,
        'POST',
        '/v1/enroll',
        { csr: request, deviceId },
        { authorization: `Bearer ${token}` },
      )
    const stranger = await send(makeCsr('p256').csr, 'pump-1')
    assert.deepEqual([stranger.status, stranger.body.reason], [409, 'enrollment_token_used'])
    assert.equal((await send(csr, 'pump-2')).body.reason, 'enrollment_token_used')
    const answers = await Promise.all([send(csr, 'pump-1'), send(csr, 'pump-1')])
    assert.deepEqual(
      answers.map(answer => answer.status),
      [201, 201],
    )
    assert.equal(answers[0]?.body.fingerprint, answers[1]?.body.fingerprint)
    const [, second, ...more] = issuances(folder.path)
    assert.notEqual(second?.serialNumber, intended?.serialNumber)
    assert.deepEqual([second?.fingerprint, more.length], [answers[0]?.body.fingerprint, 0])
    const shown = await service.call('GET', `/v1/enrollment-tokens/${id}`)
    assert.deepEqual([shown.body.usedBy, shown.body.attempts], ['pump-1', 1])
  })
}

test('a start after a crash closes what is open once, and nothing that was done', async () => {
  using folder = temporaryDirectory()
  const first = await startService({ data: folder.path })
  await first.enroll('pump-1')
  await first[Symbol.asyncDispose]()
  for (let starts = 0; starts < 2; starts += 1) {
    await using service = await startService({ data: folder.path })
    assert.deepEqual((await service.call('GET', '/v1/audit?action=certificate.abandon')).body.items, [])
    assert.equal((await service.call('GET', '/v1/certificates')).body.items.length, 1)
  }
  assert.deepEqual(
    issuances(folder.path).map(issuance => issuance.abandoned),
    [0],
  )
})
