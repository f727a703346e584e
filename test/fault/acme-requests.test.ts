// Requests of ACME of any shape for a while, each rightly signed so that it is heard: whatever they hold, the service answers with a reason of its own or does
// what they ask. The same again: ROLLCALL_FAULT_SEED.
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { pemBlocks } from '../../pki/pem.ts'
import { readAccountKey } from '../../provisioning/acme/account-key.ts'
import { createAcmeAuthentication } from '../../provisioning/acme/acme-authentication.ts'
import { addressesAt } from '../../provisioning/acme/addresses.ts'
import { createAccountBinding } from '../../provisioning/acme/external-account-binding.ts'
import { askedFor } from '../../provisioning/acme/new-order.ts'
import { createNonces } from '../../provisioning/acme/nonces.ts'
import { csrIn } from '../../provisioning/acme/order-service.ts'
import { isJws } from '../../provisioning/acme/signed-request.ts'
import { Problem } from '../../provisioning/http/problem.ts'
import { bindingOf, jwkOf, newKey, signed } from '../provisioning/acme/acme-client.ts'
import { makeCsr } from '../provisioning/harness.ts'
import { length } from './length.ts'
import { type Chance, createChance, mutatedDer, mutatedJson } from './mutations.ts'

const DURATION_MS = length(500, 10 * 60_000)
const seed = Number(process.env['ROLLCALL_FAULT_SEED'] ?? randomInt(2 ** 31))

const addresses = addressesAt('localhost:8443')
const url = addresses.of('/acme/new-account')
const key = newKey()
const token = { id: '00000000-0000-4000-8000-000000000000' }
const secret = Buffer.alloc(32, 7).toString('base64url')
const nonces = createNonces()
const account = { ...readAccountKey(jwkOf(key)), id: 'one', tokenId: token.id, claimId: null }
const authentication = createAcmeAuthentication({
  acmeAccount: id =>
    id === 'one' ? { ...account, fingerprint: null, createdAt: 0, deactivatedAt: null } : null,
  nonces,
})
const binding = createAccountBinding({
  knownToken: id => (id === token.id ? (token as never) : null),
  knownClaim: () => null,
  secrets: { secretOf: () => secret },
  enrollment: {
    byToken: () => ({ credential: { kind: 'token', id: token.id }, named: null }),
    byClaim: () => assert.fail('there is no claim'),
  },
})
const [pkcs10 = Buffer.alloc(0)] = pemBlocks(makeCsr('p256').csr, 'CERTIFICATE REQUEST')

function payloadBy(chance: Chance): object {
  const csr = chance.sometimes(0.5) ? pkcs10 : mutatedDer(pkcs10, chance)
  return {
    identifiers: [{ type: 'dns', value: 'gateway-1' }],
    replaces: 'AAAA.AAAA',
    csr: csr.toString('base64url'),
    jwk: jwkOf(key),
    externalAccountBinding: bindingOf({ kid: token.id, hmacKey: secret }, url, jwkOf(key)),
  }
}

/** Everything that the service reads of a request; gives whether all of it could be read. */
async function read(jws: object): Promise<void> {
  if (!isJws(jws)) return
  const request = { jws, url, addresses, requestId: 'x', counted: async (problem: Problem) => problem }
  const { payload } = await authentication.byEither(request)
  const parts = [
    () => askedFor(payload),
    () => csrIn(payload),
    () => readAccountKey(payload?.['jwk']),
    () => binding(payload?.['externalAccountBinding'], account, url),
  ]
  let refused: unknown = null
  for (const part of parts) {
    try {
      await part()
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      refused = error
    }
  }
  if (refused !== null) throw refused
}

test('requests of ACME: each gives what it says, or a reason', async t => {
  const heading = () => ({ url, nonce: nonces.issue() })
  await read(await signed(key, { ...heading(), jwk: jwkOf(key) }, payloadBy(createChance(1))))
  const end = performance.now() + DURATION_MS
  let tried = 0
  let readable = 0
  for (; performance.now() < end || tried < 64; tried += 1) {
    const chance = createChance(seed + tried)
    const intact = {
      ...heading(),
      ...(chance.sometimes(0.5) ? { jwk: jwkOf(key) } : { kid: addresses.account('one') }),
    }
    const header = chance.sometimes(0.6) ? intact : { ...intact, ...(mutatedJson(intact, chance) as object) }
    const payload = chance.sometimes(0.2) ? payloadBy(chance) : mutatedJson(payloadBy(chance), chance)
    const text = Buffer.from(JSON.stringify(header)).toString('base64url')
    try {
      // What the signing library itself would not put into a header is sent unsigned.
      const jws = await signed(key, header, JSON.stringify(payload)).catch(() => ({
        ...{ protected: text, payload: '', signature: '' },
      }))
      await read(jws)
      readable += 1
    } catch (error) {
      if (error instanceof Problem && error.message.length > 0) continue
      throw new Error(`ROLLCALL_FAULT_SEED=${seed + tried} does it at once`, { cause: error })
    }
    if (tried % 64 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  t.diagnostic(`${tried} tried from seed ${seed}, ${readable} read`)
  assert.ok(tried > readable, 'some are damaged')
})
