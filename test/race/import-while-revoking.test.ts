// An import brings another certificate for a key while the key is revoked for compromise: whichever comes first, none of that key
// admits afterwards. Played many times, the revocation at another moment of the import each time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../harness/until.ts'
import { makeCsr, startService } from '../provisioning/harness.ts'
import { lines, upload } from '../provisioning/jobs/uploads.ts'

const ROUNDS = 50
const admitting = ['issued', 'active', 'superseded', 'suspended', 'pending']

test(`in ${ROUNDS} races of an import and a revocation for compromise no certificate of the key is left`, async t => {
  await using service = await startService({ receiptTimeoutMs: 1 })
  const outcomes: Record<string, number> = {}
  for (let round = 0; round < ROUNDS; round += 1) {
    const id = `d${round}`
    const { csr } = makeCsr('p256')
    await service.call('POST', '/v1/devices', { id })
    const first = await service.call('POST', `/v1/devices/${id}/certificates`, { csr })
    assert.equal(first.status, 201, first.text)
    const revoke = async () => {
      // Each falls at another moment: before the upload, while it is read, while the row is worked on, behind it.
      await new Promise(resolve => setTimeout(resolve, round % 10 < 5 ? round % 5 : 3 * (round % 10)))
      return service.call('POST', `/v1/certificates/${first.body.fingerprint}/revoke`, {
        reason: 'keyCompromise',
      })
    }
    const [job, revoked] = await Promise.all([
      upload(
        service,
        lines([{ deviceId: `before${round}` }, { deviceId: id, csr }, { deviceId: `after${round}` }]),
      ),
      revoke(),
    ])
    assert.equal(job.status, 202, job.text)
    assert.equal(revoked.status, 200, revoked.text)
    await until(async () => (await service.call('GET', `/v1/jobs/${job.body.id}`)).body.state === 'done')
    const results = (await service.call('GET', `/v1/jobs/${job.body.id}/results`)).text
    const row = results
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))[1]
    const outcome = row.reason ?? row.outcome
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    const { body } = await service.call('GET', `/v1/certificates?deviceId=${id}`)
    const left = body.items.filter(({ status }: { status: string }) => admitting.includes(status))
    assert.deepEqual(left, [], `round ${round}, the row was ${outcome}`)
    const again = await service.call('POST', `/v1/devices/${id}/certificates`, { csr })
    assert.ok(again.status >= 400, 'nor does the key come back')
  }
  t.diagnostic(JSON.stringify(outcomes))
  assert.ok(Object.keys(outcomes).length > 1, 'it fell on both sides of the row')
})
