// A caller beyond its rate gets its refusals slowly, and others their answers as before.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REFUSAL_DELAY_MS } from '../../../provisioning/server/slow-refusals.ts'
import { startService } from '../harness.ts'

test('each refusal of a caller beyond its rate comes after half a second, for a token and for guesses', async () => {
  await using service = await startService({ requestsPerMinuteMax: 3, failuresPerMinuteMax: 2 })
  const asked = async (token: string | undefined) => {
    const begun = performance.now()
    const { status } = await service.call('GET', '/v1/whoami', undefined, { token: token ?? service.token })
    return { status, isSlow: performance.now() - begun >= REFUSAL_DELAY_MS }
  }
  for (let count = 0; count < 3; count += 1) assert.equal((await asked(undefined)).status, 200)
  assert.deepEqual(await asked(undefined), { status: 429, isSlow: true })
  for (let count = 0; count < 2; count += 1) assert.equal((await asked('rc_guessed')).status, 401)
  assert.deepEqual(await asked('rc_guessed'), { status: 429, isSlow: true })
})
