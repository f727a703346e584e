// How to arrive under a trust anchor: a CA of somebody else that the broker knows, and what its CRL or its settings say.
import { certificateFacts, fingerprintOf } from '../../../pki/certificate-facts.ts'
import { type Authority, createAuthority } from '../../harness/authority.ts'
import type { Seen, TestBroker } from '../../harness/broker.ts'
import { tester } from '../../harness/roll.ts'
import { arriveWith } from './attempts.ts'

type Anchor = { ca: Authority; id: string }

async function trusted(t: TestBroker, ca: Authority, parentId: string | null = null): Promise<Anchor> {
  const { id } = await t.roll.writer.addTrustAnchor({ der: ca.der, name: 'maker', parentId }, tester)
  await reloaded(t, parentId === null ? 3 : 4)
  return { ca, id }
}

const reloaded = (t: TestBroker, issuers: number) =>
  t.line(line => line.msg.includes('reloaded') && line['issuers'] === issuers)

/** Knocks with a certificate of the anchor that is on no roll. */
export async function strangerOfAnchor(t: TestBroker): Promise<Seen> {
  const { ca } = await trusted(t, await createAuthority('Maker CA'))
  return arriveWith(t, await ca.issue({ name: 'd1' }))
}

/** The same where devices may register themselves; `refused` before, where told. */
export async function registeringItself(t: TestBroker, refused = false): Promise<Seen> {
  const ca = await createAuthority('Maker CA')
  const id = fingerprintOf(ca.der)
  const { sqlite } = t.roll.registry
  // Set before the broker reads its issuers again.
  const set = sqlite.transaction(() => {
    const { notBefore, notAfter } = certificateFacts(ca.der)
    sqlite
      .prepare(
        `INSERT INTO issuers (id, name, kind, der, not_before, not_after, created_at) VALUES (?, 'maker', 'foreign', ?, ?, ?, 0)`,
      )
      .run(id, ca.der, notBefore, notAfter)
    sqlite
      .prepare("INSERT INTO trust_anchors (issuer_id, proven_at, registration) VALUES (?, 1, 'active')")
      .run(id)
    sqlite.prepare("INSERT INTO changes (at, kind, issuer_id) VALUES (0, 'issuer', ?)").run(id)
  })
  set()
  await reloaded(t, 3)
  const identity = await ca.issue({ name: 'd1' })
  if (refused) {
    sqlite
      .prepare(
        `INSERT INTO arrivals (fingerprint, issuer_id, der, address, at, decided_at, reason)
         VALUES (?, ?, ?, '', 0, ?, 'device_exists')`,
      )
      .run(fingerprintOf(identity.der), id, identity.der, Date.now())
  }
  return arriveWith(t, identity)
}

/** Knocks with a listed certificate after a CRL came in force: of its own issuer, or of the CA above that. */
export async function listedInCrl(t: TestBroker, whose: 'own' | 'above'): Promise<Seen> {
  const upper = await trusted(t, await createAuthority('Maker CA'))
  const issuer =
    whose === 'own' ? upper : await trusted(t, await upper.ca.subordinate('Maker Device CA'), upper.id)
  const identity = await issuer.ca.issue({ name: 'd1' })
  await t.roll.list('d1', identity, { issuerId: issuer.id })
  const { serialNumber } = certificateFacts(whose === 'own' ? identity.der : issuer.ca.der)
  const { writer } = t.roll
  const facts = { number: '1', thisUpdate: 1, nextUpdate: null, scope: '', hash: '' }
  const crlId = (await writer.beginCrl(upper.id, facts))!
  const revoked = [{ serialNumber, revokedAt: 1, reason: 'unspecified' }]
  await writer.putCrlInForce(crlId, await writer.writeRevocations(crlId, revoked), tester)
  return arriveWith(t, identity)
}
