// Two services of one registry import CRLs of one CA at the same time: which is in force last is told, and it is never the older one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createIssuerCrlWriter, type IssuerCrlWriter } from '../../../db/issuers/issuer-crls.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { createAuthority } from '../../harness/authority.ts'
import { createRoll, tester } from '../../harness/roll.ts'

async function twoServices() {
  const roll = await createRoll()
  const maker = await createAuthority('Maker CA')
  const makerId = fingerprintOf(maker.der)
  await roll.writer.addTrustAnchor({ der: maker.der, name: 'maker', parentId: null }, tester)
  /** Begins to import a list; what it gives puts the list in force, and gives whether that is told. */
  async function begin(writer: IssuerCrlWriter, number: number, ...listed: string[]) {
    const facts = { number: `${number}`, thisUpdate: number, nextUpdate: null, scope: '', hash: `${number}` }
    const crlId = (await writer.beginCrl(makerId, facts))!
    const revocations = listed.map(serialNumber => ({ serialNumber, revokedAt: 0, reason: 'unspecified' }))
    const counted = await writer.writeRevocations(crlId, revocations)
    return async () => (await writer.putCrlInForce(crlId, counted, tester)) !== null
  }
  const [one, other] = [0, 0].map(() => createIssuerCrlWriter(roll.registry, Date.now))
  return { roll, begin, one: one!, other: other! }
}

test('what a list revokes of that which came in force while it was written is told', async () => {
  const { roll, begin, one, other } = await twoServices()
  try {
    await (await begin(one, 1, '0a', '0b'))()
    const putLater = await begin(one, 3, '0a', '0b')
    const putBefore = await begin(other, 2, '0a', '0c')
    assert.equal(await putBefore(), true)
    assert.equal(await putLater(), true, '0b is revoked anew')
    assert.equal(await (await begin(one, 4, '0a', '0b'))(), false, 'the same again concerns nobody')
  } finally {
    await roll.close()
  }
})

test('a list that is older than one that came in force while it was written is refused', async () => {
  const { roll, begin, one, other } = await twoServices()
  try {
    const putOlder = await begin(one, 1)
    assert.equal(await (await begin(other, 2, '0a'))(), true)
    await assert.rejects(putOlder(), { code: 'crl_outdated' })
  } finally {
    await roll.close()
  }
})
