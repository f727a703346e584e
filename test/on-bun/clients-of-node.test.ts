// Clients with OpenSSL's TLS, at a broker on either runtime: those that a client on Bun cannot be, and what is told of them differently
// (ADR 0058).
import assert from 'node:assert/strict'
import { generateKeyPairSync, KeyObject } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import type { Reason } from '../../db/reason.ts'
import type { Identity, LeafOptions } from '../harness/authority.ts'
import { attempt, attemptPlain, type Seen } from '../harness/broker.ts'
import { type ForkedBroker, forkBroker } from '../harness/fork.ts'
import { pqKey, pqLeaf } from '../harness/ml-dsa.ts'
import { createRoll, type Roll } from '../harness/roll.ts'
import { until } from '../harness/until.ts'
import { assertInstalled, bun } from './shares.ts'

type Told = [reason: Reason | null, seen: Seen]
type Row = [how: string, onNode: Told, onBun: Told, tls: ConnectionOptions, make: Make]
type Make = (roll: Roll, id: string) => Promise<Identity>

const made =
  (leaf: Partial<LeafOptions>): Make =>
  (roll, id) =>
    roll.enroll(id, leaf)
const withKey =
  (key: () => KeyObject): Make =>
  async (roll, id) => {
    const ca = { name: 'Test Issuing CA', key: KeyObject.from(roll.issuing.keyPair.privateKey) }
    const identity = pqLeaf(id, key(), ca)
    await roll.list(id, identity)
    return identity
  }
const rsaPss = () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey
const ed448 = () => generateKeyPairSync('ed448').privateKey
const enciphers = new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyEncipherment, true)
const only = (version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3') => ({ minVersion: version, maxVersion: version })
const weak = { ciphers: 'DEFAULT@SECLEVEL=0' }

const enters: Told = [null, 'connack 0']
const keyRefused: Told = ['key_unacceptable', 'connack 5']
const neverSeen: Told = ['certificate_missing', 'cut']
const noHandshake: Told = ['handshake_failed', 'cut']
/** A handshake that the client itself gives up leaves no reason here. */
const givesUp: Told = [null, 'cut']

// biome-ignore format: one way a line
const rows: Row[] = [
  ['a key on P-256', enters, enters, {}, made({})],
  ['TLS 1.1', noHandshake, noHandshake, { ...weak, ...only('TLSv1.1') }, made({})],
  ['an RSA key of 1024 bits', keyRefused, keyRefused, weak, made({ keyType: 'rsa1024' })],
  ['a key on P-521, in TLS 1.3', neverSeen, neverSeen, only('TLSv1.3'), made({ keyType: 'p521' })],
  ['a key on P-521, in TLS 1.2', noHandshake, keyRefused, only('TLSv1.2'), made({ keyType: 'p521' })],
  ['a key for RSA-PSS alone, in TLS 1.3', neverSeen, neverSeen, only('TLSv1.3'), withKey(rsaPss)],
  ['a key for RSA-PSS alone, in TLS 1.2', neverSeen, neverSeen, only('TLSv1.2'), withKey(rsaPss)],
  ['a key on Ed448, in TLS 1.3', neverSeen, neverSeen, only('TLSv1.3'), withKey(ed448)],
  ['a key on Ed448, in TLS 1.2', neverSeen, neverSeen, only('TLSv1.2'), withKey(ed448)],
  ['a key of SLH-DSA', givesUp, givesUp, {}, withKey(() => pqKey('slh-dsa-sha2-128s'))],
  ['keyUsage without digitalSignature', ['certificate_key_usage_forbidden', 'connack 5'], noHandshake, {}, made({ extensions: [enciphers] })],
]

for (const runtime of ['node', 'bun'] as const)
  describe(`a broker on ${runtime}`, () => {
    let roll: Roll
    let broker: ForkedBroker
    before(async () => {
      if (runtime === 'bun') await assertInstalled()
      roll = await createRoll()
      broker = await forkBroker(roll, { runtime: runtime === 'bun' ? bun : process.execPath })
    })
    after(async () => {
      await broker?.close()
      await roll?.close()
    })

    /** How many of each reason there were, of those that were at all. */
    async function refusals(): Promise<Map<string, number>> {
      const { metrics } = await broker.measure()
      const samples = metrics.matchAll(/^rollcall_refusals_total\{reason="(\w+)"\} ([1-9]\d*)$/gm)
      return new Map([...samples].map(([, reason, count]) => [reason!, Number(count)]))
    }

    for (const [index, [how, onNode, onBun, tls, make]] of rows.entries()) {
      const [reason, seen] = runtime === 'bun' ? onBun : onNode
      it(`${how}: ${reason ?? 'no refusal'}, ${seen}`, async () => {
        const expected = await refusals()
        const id = `d${index}`
        const identity = await make(roll, id)
        assert.equal(await attempt({ broker, roll }, { identity, connect: { clientId: id }, tls }), seen)
        if (reason === null) return
        expected.set(reason, (expected.get(reason) ?? 0) + 1)
        await until(async () => ((await refusals()).get(reason) ?? 0) === expected.get(reason))
        assert.deepEqual(await refusals(), expected)
      })
    }

    it('counts all of a flood of plain text, on Bun some of it as handshakes that failed', async () => {
      const count = async (reason: Reason) => (await refusals()).get(reason) ?? 0
      const [plain, failed] = [await count('not_tls'), await count('handshake_failed')]
      const bytes = Buffer.from('GET / HTTP/1.1\r\n\r\n')
      await Promise.all(Array.from({ length: 200 }, () => attemptPlain({ broker }, bytes)))
      const told = runtime === 'bun' ? () => count('handshake_failed') : async () => failed
      await until(async () => (await count('not_tls')) - plain + (await told()) - failed === 200)
    })
  })
