// The chain of a certificate is verified once, and what did not verify is looked at again every time.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { before, test } from 'node:test'
import { createChainVerifier } from '../../../../broker/gate/tls/chain-verifier.ts'
import { certificateFacts, fingerprintOf } from '../../../../pki/certificate-facts.ts'
import { anchorsAmong, type KnownIssuer, verifyChain } from '../../../../pki/chain.ts'
import { type Authority, createAuthority, type Identity } from '../../../harness/authority.ts'

let root: Authority
let issuing: Authority
let stranger: Authority
before(async () => {
  root = await createAuthority('Root')
  issuing = await root.subordinate('Issuing')
  stranger = await createAuthority('Stranger')
})

test('verifies a certificate once, however often its device connects', async () => {
  const judge = createChainVerifier(known())
  const device = seen(await issuing.issue({ name: 'd1' }))
  assert.deepEqual([judge(...device.shown), judge(...device.shown)], ['verified', 'verified'])
  assert.equal(device.judged(), 1)
})

test('remembers nobody whose chain is unknown, and nobody at all once the issuers have changed', async () => {
  const judge = createChainVerifier(known())
  const foreign = seen(await stranger.issue({ name: 'd1' }))
  assert.deepEqual([judge(...foreign.shown), judge(...foreign.shown)], ['unknown', 'unknown'])
  assert.equal(foreign.judged(), 2)

  const device = seen(await issuing.issue({ name: 'd1' }))
  judge(...device.shown)
  assert.equal(createChainVerifier(new Map())(...device.shown), 'unknown')
})

test('tells a self-signed certificate from one of an unknown issuer', async () => {
  const judge = createChainVerifier(known())
  assert.equal(judge(...seen({ der: stranger.der }).shown), 'self_signed')
})

test('forgets the one seen longest ago where it may remember no more', async () => {
  const judge = createChainVerifier(known(), 2)
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map(async name => seen(await issuing.issue({ name }))))
  for (const device of [a!, b!, a!, c!, a!, b!]) judge(...device.shown)
  assert.deepEqual([a!.judged(), b!.judged(), c!.judged()], [1, 2, 1])
})

test('trusts no issuer whose own chain ends before a root', async () => {
  const orphaned = new Map([...known()].filter(([id]) => id === 'issuing'))
  assert.deepEqual(anchorsAmong(orphaned.values(), orphaned), [])
  const device = new X509Certificate((await issuing.issue({ name: 'd1' })).der)
  assert.equal(verifyChain(device, orphaned), 'unknown')
  assert.equal(verifyChain(device, known()), 'verified')
})

function known(): Map<string, KnownIssuer> {
  return new Map([issuer('root', root, null), issuer('issuing', issuing, 'root')])
}

function issuer(id: string, { der }: Authority, parentId: string | null): [string, KnownIssuer] {
  const certificate = new X509Certificate(der)
  const { notBefore, notAfter } = certificateFacts(certificate)
  return [id, { id, parentId, certificate, notBefore, notAfter }]
}

/** A certificate as a gate shows it to the judge, which counts how often it is held against the issuing CA. */
function seen({ der }: Pick<Identity, 'der'>) {
  const certificate = new X509Certificate(der)
  const { fingerprint256 } = new X509Certificate(issuing.der)
  let count = 0
  const checkIssued = certificate.checkIssued.bind(certificate)
  certificate.checkIssued = other => {
    if (other.fingerprint256 === fingerprint256) count += 1
    return checkIssued(other)
  }
  return { shown: [() => certificate, fingerprintOf(der)] as const, judged: () => count }
}
