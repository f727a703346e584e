// How to arrive at a broker: the moves that the rows of the table are made of. Each gives what the device saw.
import { renameSync, writeFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import type { CertificateStatus } from '../../../db/schema.ts'
import { certificateFacts, fingerprintOf } from '../../../pki/certificate-facts.ts'
import type { Identity, LeafOptions } from '../../harness/authority.ts'
import {
  type Attempt,
  attempt,
  attemptPlain,
  firstBytes,
  openTls,
  type Seen,
  type TestBroker,
} from '../../harness/broker.ts'
import { tester } from '../../harness/roll.ts'

export type Connect = NonNullable<Attempt['connect']>

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS

export function inFuture(ms: number): Date {
  return new Date(Date.now() + ms)
}

export const past = { notBefore: inFuture(-48 * HOUR_MS), notAfter: inFuture(-HOUR_MS) }

/** Knocks as `d1` with this certificate, or none. */
export function arriveWith(t: TestBroker, identity?: Identity, tls?: ConnectionOptions): Promise<Seen> {
  return attempt(t, { identity, connect: { clientId: 'd1' }, ...(tls ? { tls } : {}) })
}

/** Knocks as a device on the roll whose certificate was made so. */
export async function arriveListed(t: TestBroker, leaf: Partial<LeafOptions> = {}, tls?: ConnectionOptions) {
  return arriveWith(t, await t.roll.enroll('d1', leaf), tls)
}

/** Knocks with a certificate that our issuing CA signed and the registry never listed, beside a listed `d1`. */
export async function arriveUnlisted(t: TestBroker, leaf: Partial<LeafOptions> = {}): Promise<Seen> {
  await t.roll.enroll('d1')
  return arriveWith(t, await t.roll.issuing.issue({ name: 'd1', ...leaf }))
}

/** Knocks with a claim certificate: on record, and on no roll. */
export async function arriveClaiming(t: TestBroker): Promise<Seen> {
  const identity = await t.roll.issuing.issue({ name: 'claim:d1' })
  const { serialNumber, spkiHash, notBefore, notAfter } = certificateFacts(identity.der)
  const terms = { name: 'd1', group: 'backend', quota: 1, allowlist: null, approval: false }
  const issuerId = fingerprintOf(t.roll.issuing.der)
  const intent = { ...terms, issuerId, serialNumber, spkiHash, notBefore, notAfter }
  const id = await t.roll.writer.intendClaim(intent, tester)
  await t.roll.writer.keepClaim(id, identity.der, tester)
  await t.roll.enroll('d1')
  return arriveWith(t, identity)
}

/** Knocks as a listed device and sends this CONNECT. */
export async function arriveAsking(t: TestBroker, connect: Connect): Promise<Seen> {
  await t.roll.enroll('d2')
  return attempt(t, { identity: await t.roll.enroll('d1'), connect })
}

/** Knocks as a listed device and sends these bytes instead of a CONNECT. */
export async function arriveSaying(t: TestBroker, bytes: Buffer): Promise<Seen> {
  return attempt(t, { identity: await t.roll.enroll('d1'), bytes })
}

/** Statuses that no verb sets yet are written by hand. */
export async function arriveWithStatus(
  t: TestBroker,
  status: CertificateStatus,
  graceUntil: number | null = null,
) {
  const device = await t.roll.enroll('d1')
  t.roll.registry.sqlite
    .prepare(
      'UPDATE certificates SET status = ?, revocation_reason = ?, grace_until = ? WHERE fingerprint = ?',
    )
    .run(status, status === 'revoked' ? 'unspecified' : null, graceUntil, device.fingerprint)
  return arriveWith(t, device)
}

/** Finishes the handshake as a listed device and says nothing. */
export async function arriveSilent(t: TestBroker): Promise<Seen> {
  const socket = await openTls(t, { identity: await t.roll.enroll('d1') })
  const answer = await firstBytes(socket)
  socket.destroy()
  return answer === null ? 'cut' : `connack ${answer[3] ?? -1}`
}

/** Sends bytes before any TLS; whatever is no TLS alert counts as an answer. */
export async function arrivePlain(t: TestBroker, bytes: Buffer | string): Promise<Seen> {
  const answer = await attemptPlain(t, Buffer.from(bytes))
  return answer.length === 0 || answer[0] === 0x15 ? 'cut' : `connack ${answer[3] ?? -1}`
}

export async function arriveInState(t: TestBroker, state: 'suspended' | 'decommissioned'): Promise<Seen> {
  const device = await t.roll.enroll('d1')
  await t.roll.writer.setDeviceState('d1', state, tester)
  return arriveWith(t, device)
}

export async function arriveUnderDisabled(t: TestBroker, issuerId: string): Promise<Seen> {
  const device = await t.roll.enroll('d1')
  await t.roll.writer.setIssuerEnabled(issuerId, false, tester)
  return arriveWith(t, device)
}

/** Puts another file in a file's place, as `mv` does. */
export function replaceFile(file: string, content: string): void {
  writeFileSync(`${file}.new`, content)
  renameSync(`${file}.new`, file)
}

export function only(version: TlsVersion): ConnectionOptions {
  return { minVersion: version, maxVersion: version }
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'
