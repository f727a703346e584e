// With the reference of a token anybody may have a key derived, with as many rounds as there may be: that must not cost others.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createDerivations,
  WAITING_ROUNDS_EACH_MAX,
  WAITING_ROUNDS_MAX,
} from '../../../provisioning/cmp/derivations.ts'
import { type MacParameters, PBM_ROUNDS } from '../../../provisioning/cmp/mac-protection.ts'
import { startService } from '../harness.ts'
import { ir, send, tokenFor } from './cmp-exchange.ts'
import * as cmp from './cmp-messages.ts'

const asking = (rounds: number) => ({ rounds }) as MacParameters

test('keys are derived one at a time, and what waits is bounded for each address and in all', async () => {
  let atOnce = 0
  let most = 0
  const derive = createDerivations(async ({ rounds }) => {
    atOnce += 1
    most = Math.max(most, atOnce)
    await new Promise(resolve => setImmediate(resolve))
    atOnce -= 1
    if (rounds === 1) throw new Error('it cannot be derived')
    return Buffer.alloc(1)
  })
  const ask = (rounds: number, address: string) =>
    derive(asking(rounds), 's', address).then(
      () => 'derived',
      error => error.reason ?? error.message,
    )
  const ten = WAITING_ROUNDS_EACH_MAX / 10
  const own = Array.from({ length: 12 }, () => ask(ten, 'a'))
  const others = Array.from({ length: WAITING_ROUNDS_MAX / WAITING_ROUNDS_EACH_MAX }, (_, index) =>
    ask(WAITING_ROUNDS_EACH_MAX, `b${index}`),
  )
  const told = await Promise.all(own)
  assert.deepEqual(
    told.slice(0, 10),
    Array.from({ length: 10 }, () => 'derived'),
  )
  assert.deepEqual(told.slice(10), ['service_busy', 'service_busy'])
  assert.equal((await Promise.all(others)).filter(outcome => outcome === 'service_busy').length, 1)
  assert.equal(most, 1)
  // Whatever came of them, their places are free again.
  assert.equal(await ask(1, 'a'), 'it cannot be derived')
  assert.equal(await ask(WAITING_ROUNDS_EACH_MAX, 'a'), 'derived')
})

test('a stranger with a reference is answered that too much waits, and others enroll', async () => {
  await using service = await startService({ failuresPerMinuteMax: 1_000 })
  const { reference, secret } = await tokenFor(service)
  const slow = cmp.message(cmp.pbm(reference, 'guessed', { count: PBM_ROUNDS.most }), { body: ir() })
  const attack = Array.from({ length: 60 }, () => send(service, slow))
  const failures = (await Promise.all(attack)).map(({ text }) => text.split(':')[0]!.slice(0, 12))
  const busy = failures.filter(text => text === 'service_busy').length
  assert.ok(busy > 0 && busy < failures.length, String(failures))
  const honest = await send(service, cmp.message(cmp.pbm(reference, secret), { body: ir() }))
  assert.equal(honest.bodyType, 1, honest.text)
})
