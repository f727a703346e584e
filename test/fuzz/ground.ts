// What every sequence of the fuzz begins from, made once: keys, certificates, and a registry with devices and policies.
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { type Authority, type Identity, makeKeyPair } from '../harness/authority.ts'
import { createRoll, defaultPolicy, tester } from '../harness/roll.ts'
import { BACKEND, cards, devices, type IssuerName, type Policy } from './commands.ts'

export type Ground = AsyncDisposable & {
  data: string
  ca: string
  /** The moment that a clock of 0 stands for. */
  start: number
  identities: Map<string, Identity & { fingerprint: string }>
  issuers: Record<IssuerName, string>
}

export const policies: Record<Policy, object> = {
  wide: defaultPolicy,
  narrow: {
    name: 'default',
    statements: [
      ...defaultPolicy.statements,
      // What may be sent and not be heard: a wider subscription is filtered message by message.
      { effect: 'deny', actions: ['subscribe'], topics: ['devices/+/secret/#'] },
    ],
  },
  closed: { name: 'default', statements: [] },
}
const reader = {
  name: 'reader',
  statements: [
    { effect: 'allow', actions: ['subscribe'], topics: ['shared/#'] },
    { effect: 'allow', actions: ['publish'], topics: [`shared/\${device.id}`] },
  ],
}

/** It lasts for all sequences: each copies the registry and uses the same keys. */
export async function layGround(): Promise<Ground> {
  const roll = await createRoll()
  const start = Math.floor(Date.now() / 1_000) * 1_000
  const second = await roll.root.subordinate('Second CA')
  const secondId = await roll.writer.addIssuer(
    { der: second.der, name: 'second', kind: 'issuing', parentId: roll.rootId },
    tester,
  )
  for (const id of devices) {
    await roll.writer.addDevice({ id, attributes: {}, groups: id === BACKEND ? ['backend'] : [] }, tester)
  }
  await roll.writer.putPolicy('reader', reader, tester)
  const authorities: Record<IssuerName, Authority> = { a: roll.issuing, b: second }
  const identities: Ground['identities'] = new Map()
  const keyPairs = new Map<string, Awaited<ReturnType<typeof makeKeyPair>>>()
  for (const [name, card] of Object.entries(cards)) {
    const keyPair = keyPairs.get(card.key) ?? (await makeKeyPair('p256'))
    keyPairs.set(card.key, keyPair)
    const identity = await authorities[card.issuer].issue({
      name: card.device,
      keyPair,
      notBefore: new Date(start + card.notBefore),
      notAfter: new Date(start + card.notAfter),
    })
    identities.set(name, { ...identity, fingerprint: fingerprintOf(identity.der) })
  }
  roll.registry.sqlite.pragma('wal_checkpoint(TRUNCATE)')
  return {
    data: roll.data,
    ca: roll.root.certificate,
    start,
    identities,
    issuers: { a: roll.issuerId, b: secondId },
    [Symbol.asyncDispose]: roll.close,
  }
}
