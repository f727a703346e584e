// Open challenges: bounded in number, for each address, in time and in memory, answered once, and gone with the process.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  CHALLENGE_SECONDS,
  CHALLENGES_EACH_MAX,
  CHALLENGES_MAX,
  createChallenges,
} from '../../../provisioning/tpm/challenges.ts'

type Order = Parameters<ReturnType<typeof createChallenges<object>>['open']>[0]

/** What a request leaves, each text and buffer its own. */
function orderOf(address: string, ekHash = randomBytes(32).toString('hex')): Order {
  const keyName = randomBytes(34).toString('hex')
  const hex = (octets: number) => randomBytes(octets).toString('hex')
  const asked = {
    ...{ deviceId: hex(16), tokenId: hex(18), requestId: hex(18), approval: false, vouchedBy: 'maker' },
    ...{ spki: randomBytes(294).toString('base64'), keyType: 'rsa2048', attributes: 0x40072 },
    certificate: { issuerId: hex(32), serialNumber: hex(16) },
    model: { maker: hex(4), model: hex(8), version: hex(8) },
  }
  return { ekHash, keyName, address, asked }
}

function opened(challenges: ReturnType<typeof createChallenges<object>>, order: Order) {
  const challenge = challenges.open(order)
  assert.ok('session' in challenge)
  return challenge
}

const addressOf = (number: number) => `192.0.${number >> 8}.${number & 255}`

test('10,000 challenges are open at once and no more, in less than 20 MiB', t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = () => {
    collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const challenges = createChallenges<object>(() => 0)
  const before = used()
  for (let at = 0; at < CHALLENGES_MAX; at += 1)
    opened(challenges, orderOf(addressOf(Math.floor(at / CHALLENGES_EACH_MAX))))
  const bytes = used() - before
  t.diagnostic(`${(bytes / 2 ** 20).toFixed(1)} MiB`)
  assert.ok(bytes < 20 * 2 ** 20, `${bytes} bytes`)
  assert.ok('waitSeconds' in challenges.open(orderOf(addressOf(0))))
  opened(challenges, orderOf('198.51.100.1'))
  assert.equal(challenges.size(), CHALLENGES_MAX)
})

test('where a few addresses hold all places, one with fewer gets one of the oldest of theirs, and keeps it', () => {
  const challenges = createChallenges<object>(() => 0)
  const first = opened(challenges, orderOf(addressOf(0)))
  for (let at = 1; at < CHALLENGES_MAX; at += 1)
    opened(challenges, orderOf(addressOf(Math.floor(at / CHALLENGES_EACH_MAX))))
  const honest = opened(challenges, orderOf('198.51.100.1'))
  assert.deepEqual(challenges.answer(first.session, first.secret), { refused: 'unknown' })
  for (let at = 0; at < CHALLENGES_MAX; at += 1) challenges.open(orderOf(addressOf(at % 50)))
  assert.ok('challenge' in challenges.answer(honest.session, honest.secret))
})

test('one address has as many open as it may, and one more for each that it answers', () => {
  const challenges = createChallenges<object>(() => 0)
  const all = Array.from({ length: CHALLENGES_EACH_MAX }, () => opened(challenges, orderOf('192.0.2.1')))
  assert.ok('waitSeconds' in challenges.open(orderOf('192.0.2.1')))
  assert.ok('session' in challenges.open(orderOf('192.0.2.2')))
  const { session, secret } = all[0]!
  assert.ok('challenge' in challenges.answer(session, secret))
  assert.ok('session' in challenges.open(orderOf('192.0.2.1')))
  assert.ok('waitSeconds' in challenges.open(orderOf('192.0.2.1')))
})

test('a challenge is open until its two minutes are over, also where the clock is set back', () => {
  for (const [moved, expected] of [
    [CHALLENGE_SECONDS * 1_000 - 1, 'challenge'],
    [CHALLENGE_SECONDS * 1_000, 'refused'],
    [-CHALLENGE_SECONDS * 1_000, 'refused'],
  ] as const) {
    let now = 1_000_000
    const challenges = createChallenges<object>(() => now)
    const { session, secret } = opened(challenges, orderOf('192.0.2.1'))
    now += moved
    assert.ok(expected in challenges.answer(session, secret), `${moved} ms`)
    assert.equal(challenges.size(), 0)
  }
})

test('two keys of one endorsement key at once are told of; one after the other, or one key twice, are not', () => {
  let now = 0
  const challenges = createChallenges<object>(() => now)
  const ekHash = 'ab'.repeat(32)
  const answered = ({ session, secret }: { session: string; secret: Buffer }) => {
    const answer = challenges.answer(session, secret)
    assert.ok('challenge' in answer)
    return answer.cloned
  }
  const one = orderOf('192.0.2.1', ekHash)
  const [first, same, other] = [one, one, orderOf('192.0.2.2', ekHash)].map(order =>
    opened(challenges, order),
  )
  now += 1
  assert.equal(answered(first!), null)
  assert.equal(answered(same!), null, 'the same key again is a lost answer')
  assert.deepEqual(answered(other!), ['192.0.2.1', '192.0.2.2'])
  now += 1
  assert.equal(answered(opened(challenges, orderOf('192.0.2.1', ekHash))), null, 'a later one is a new key')
  const stranger = opened(challenges, orderOf('192.0.2.3', ekHash))
  assert.deepEqual(challenges.answer(stranger.session, randomBytes(32)), { refused: 'secret' })
  assert.equal(
    answered(opened(challenges, orderOf('192.0.2.1', ekHash))),
    null,
    'a device that proves nothing raises nothing',
  )
})
