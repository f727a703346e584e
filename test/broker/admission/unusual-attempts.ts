// Arrivals that need more than a certificate: other authorities, kept TLS sessions, a registry in doubt.
import { join } from 'node:path'
import { authorityFrom, createAuthority, makeKeyPair } from '../../harness/authority.ts'
import { type Seen, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { keptSession } from '../../harness/raw-client.ts'
import { tester } from '../../harness/roll.ts'
import { arriveWith, HOUR_MS, inFuture, only } from './attempts.ts'

export async function fromCaOfSameName(t: TestBroker): Promise<Seen> {
  await t.roll.enroll('d1')
  const root = await createAuthority('Test Root')
  const issuing = await root.subordinate('Test Issuing CA')
  const identity = await issuing.issue({ name: 'd1' })
  const chain = `${identity.certificate}\n${issuing.certificate}\n${root.certificate}\n`
  return arriveWith(t, { ...identity, certificate: chain })
}

export async function fromDeviceThatSigns(t: TestBroker): Promise<Seen> {
  const keyPair = await makeKeyPair('p256')
  const device = await t.roll.enroll('d2', { keyPair })
  const forged = await (await authorityFrom(device, keyPair)).issue({ name: 'd1' })
  return arriveWith(t, { ...forged, certificate: `${forged.certificate}\n${device.certificate}\n` })
}

export async function withSerialOfAnother(t: TestBroker): Promise<Seen> {
  const serialNumber = '4711'.repeat(8)
  await t.roll.enroll('d1', { serialNumber })
  return arriveWith(t, await t.roll.issuing.issue({ name: 'd1', serialNumber }))
}

export async function underExpiredIssuer(t: TestBroker): Promise<Seen> {
  const expired = await t.roll.root.subordinate('Old Issuing CA', { notAfter: inFuture(-HOUR_MS) })
  const { der } = expired
  const issuerId = await t.roll.writer.addIssuer(
    { der, name: 'old', kind: 'issuing', parentId: t.roll.rootId },
    tester,
  )
  const device = await expired.issue({ name: 'd1' })
  await t.roll.list('d1', device, { issuerId })
  await t.line(line => line['issuers'] === 3)
  return arriveWith(t, device)
}

export async function listedUnderWrongIssuer(t: TestBroker): Promise<Seen> {
  const foreign = await createAuthority('Elsewhere')
  const device = await foreign.issue({ name: 'd1' })
  await t.roll.list('d1', device, { trust: 'chained' })
  return arriveWith(t, device)
}

export async function resumeFromElsewhere(t: TestBroker): Promise<Seen> {
  const elsewhere = await startTestBroker({ roll: t.roll, nodeId: 'elsewhere' })
  const { session } = await keptSession(elsewhere, await t.roll.enroll('d1'), only('TLSv1.3'), 'd1')
  await elsewhere.close()
  return arriveWith(t, undefined, { ...only('TLSv1.3'), session })
}

export async function withUnreadableRegistry(t: TestBroker): Promise<Seen> {
  const device = await t.roll.enroll('d1')
  t.roll.registry.sqlite.exec('ALTER TABLE devices RENAME TO lost')
  return arriveWith(t, device)
}

/** Does something to the registry's file, waits until the broker has noticed, and knocks. */
export async function withRegistryFile(t: TestBroker, change: (file: string) => void): Promise<Seen> {
  const device = await t.roll.enroll('d1')
  change(join(t.roll.data, 'registry.db'))
  await t.line(line => line.msg === 'registry in doubt: refusing')
  return arriveWith(t, device)
}
