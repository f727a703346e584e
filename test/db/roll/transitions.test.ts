// The state machine of devices and certificates: every pair of a status and a move, against a table written apart from
// the code, through the verbs that operators, brokers and time use.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { createRegistryWriter, type RegistryWriter } from '../../../db/index.ts'
import { certificateTransitions, deviceTransitions } from '../../../db/roll/transitions.ts'
import type { CertificateStatus, DeviceState } from '../../../db/schema.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'

const DAY_MS = 86_400_000

let roll: Roll
let now: number
let writer: RegistryWriter
beforeEach(async () => {
  roll = await createRoll()
  now = Date.now()
  writer = createRegistryWriter(roll.registry, () => now)
})
afterEach(() => roll.close())

type Allowed = Partial<Record<CertificateStatus, CertificateStatus | 'gone'>>

/** What semantics allow: for each move, from where to where. Whatever is not here is forbidden. */
const certificates: Record<keyof typeof certificateTransitions, Allowed> = {
  approve: { pending: 'active' },
  reject: { pending: 'rejected' },
  forget: { pending: 'gone' },
  use: { issued: 'active' },
  supersede: { issued: 'superseded', active: 'superseded' },
  suspend: { active: 'suspended' },
  hold: { issued: 'suspended', active: 'suspended', superseded: 'suspended' },
  activate: { suspended: 'active' },
  retire: { superseded: 'retired' },
  lapse: { issued: 'lapsed', pending: 'lapsed' },
  revoke: { issued: 'revoked', active: 'revoked', superseded: 'revoked', suspended: 'revoked' },
  compromise: {
    pending: 'revoked',
    issued: 'revoked',
    active: 'revoked',
    superseded: 'revoked',
    suspended: 'revoked',
    rejected: 'revoked',
    retired: 'revoked',
    lapsed: 'revoked',
    revoked: 'revoked',
  },
}
const statuses: CertificateStatus[] = [
  'pending',
  'issued',
  'active',
  'superseded',
  'suspended',
  'rejected',
  'retired',
  'lapsed',
  'revoked',
]

const sql = (text: string, ...values: unknown[]) => roll.registry.sqlite.prepare(text).run(...values)
const statusOf = (fingerprint: string) =>
  roll.registry.sqlite
    .prepare<[string], CertificateStatus>('SELECT status FROM certificates WHERE fingerprint = ?')
    .pluck()
    .get(fingerprint)
const rows = (table: string, column: string, value: string) =>
  roll.registry.sqlite
    .prepare(`SELECT count(*) FROM ${table} WHERE ${column} = ?`)
    .pluck()
    .get(value) as number

/** A certificate in any status, as a row of the record. */
async function certificateIn(status: CertificateStatus): Promise<string> {
  const { fingerprint } = await roll.enroll('d1')
  sql(
    'UPDATE certificates SET status = ?, revocation_reason = ?, grace_until = ? WHERE fingerprint = ?',
    status,
    status === 'revoked' ? 'unspecified' : null,
    status === 'superseded' ? now + DAY_MS : null,
    fingerprint,
  )
  sql('DELETE FROM deadlines')
  return fingerprint
}

/** Makes a deadline of this kind pass. */
async function pass(kind: string, fingerprint: string): Promise<void> {
  sql('INSERT INTO deadlines VALUES (?, ?, ?)', fingerprint, kind, now)
  await writer.passDeadlines(10)
}

const moves: Record<keyof typeof certificateTransitions, (fingerprint: string) => Promise<unknown>> = {
  approve: fingerprint => writer.approveCertificate(fingerprint, tester),
  reject: fingerprint => writer.rejectCertificate(fingerprint, tester),
  suspend: fingerprint => writer.suspendCertificate(fingerprint, tester),
  activate: fingerprint => writer.activateCertificate(fingerprint, tester),
  revoke: fingerprint => writer.revokeCertificate(fingerprint, 'unspecified', tester),
  compromise: fingerprint => writer.revokeCertificate(fingerprint, 'keyCompromise', tester),
  async hold(fingerprint) {
    const evidence = { kind: 'takeover_storm', takeovers: 12, addresses: [], at: now }
    createBrokerNotes(roll.registry).suspendCloned({ fingerprint, deviceId: 'd1', ...evidence })
  },
  forget: fingerprint => pass('forget', fingerprint),
  retire: fingerprint => pass('retire', fingerprint),
  lapse: fingerprint => pass('lapse', fingerprint),
  async use(fingerprint) {
    createBrokerNotes(roll.registry).uses([{ fingerprint, deviceId: 'd1', at: now }])
  },
  async supersede() {
    const newer = await roll.list('d1', await roll.issuing.issue({ name: 'd1' }))
    createBrokerNotes(roll.registry).uses([{ fingerprint: newer, deviceId: 'd1', at: now }])
  },
}

/** Verbs that an operator calls say no; a note of a broker and a deadline find nothing to do. */
const refusing = ['approve', 'reject', 'suspend', 'activate', 'revoke']

describe('certificates', () => {
  for (const [move, allowed] of Object.entries(certificates) as [keyof typeof certificates, Allowed][]) {
    for (const from of statuses) {
      const to = allowed[from]
      if (to !== undefined) {
        it(`${move}: from ${from} to ${to}, with an audit row and a change row`, async () => {
          const fingerprint = await certificateIn(from)
          const before = [rows('audit', 'target', fingerprint), rows('changes', 'fingerprint', fingerprint)]
          await moves[move](fingerprint)
          assert.equal(statusOf(fingerprint) ?? 'gone', to)
          assert.equal(rows('audit', 'target', fingerprint), before[0]! + 1)
          // A first use takes no right from anybody.
          const changes = move === 'use' ? 0 : 1
          assert.equal(rows('changes', 'fingerprint', fingerprint), before[1]! + changes)
        })
        continue
      }
      it(`${move}: not from ${from}`, async () => {
        const fingerprint = await certificateIn(from)
        const before = [rows('audit', 'target', fingerprint), rows('changes', 'fingerprint', fingerprint)]
        const already = from === certificateTransitions[move].to
        if (refusing.includes(move) && !already) {
          await assert.rejects(moves[move](fingerprint), { code: 'certificate_status_forbids' })
        } else await moves[move](fingerprint)
        assert.equal(statusOf(fingerprint), from)
        // What is active already, by approval, is first used without a change of status: that is noted.
        const noted = move === 'use' && from === 'active' ? 1 : 0
        assert.equal(rows('audit', 'target', fingerprint), before[0]! + noted)
        assert.equal(rows('changes', 'fingerprint', fingerprint), before[1]!)
      })
    }
  }

  it('have no move that is not in the table of semantics', () => {
    assert.deepEqual(Object.keys(certificateTransitions).sort(), Object.keys(certificates).sort())
    for (const [move, { from, to }] of Object.entries(certificateTransitions)) {
      const allowed = certificates[move as keyof typeof certificates]
      assert.deepEqual([...from].sort(), Object.keys(allowed).sort(), move)
      for (const target of Object.values(allowed)) assert.equal(target, to ?? 'gone', move)
    }
  })

  it('that are unknown are refused', async () => {
    for (const move of refusing) {
      await assert.rejects(moves[move as keyof typeof moves]('0'.repeat(64)), { code: 'certificate_unknown' })
    }
  })
})

const devices: Record<keyof typeof deviceTransitions, Partial<Record<DeviceState, DeviceState>>> = {
  use: { registered: 'active' },
  suspend: { registered: 'suspended', active: 'suspended' },
  activate: { registered: 'active', suspended: 'active' },
  decommission: { registered: 'decommissioned', active: 'decommissioned', suspended: 'decommissioned' },
}

describe('devices', () => {
  const states: DeviceState[] = ['registered', 'active', 'suspended', 'decommissioned']
  const stateNow = () =>
    roll.registry.sqlite.prepare("SELECT state FROM devices WHERE id = 'd1'").pluck().get()
  const make = async (move: keyof typeof devices): Promise<void> => {
    if (move === 'use') {
      createBrokerNotes(roll.registry).uses([{ fingerprint: 'f'.repeat(64), deviceId: 'd1', at: now }])
    } else await writer.setDeviceState('d1', deviceTransitions[move].to, tester)
  }

  for (const [move, allowed] of Object.entries(devices) as [
    keyof typeof devices,
    (typeof devices)['use'],
  ][]) {
    for (const from of states) {
      const to = allowed[from]
      it(`${move}: ${to === undefined ? `not from ${from}` : `from ${from} to ${to}`}`, async () => {
        await writer.addDevice({ id: 'd1', attributes: {}, groups: [] }, tester)
        sql("UPDATE devices SET state = ? WHERE id = 'd1'", from)
        const audited = rows('audit', 'target', 'd1')
        const refuses = to === undefined && move !== 'use' && from !== deviceTransitions[move].to
        if (refuses) await assert.rejects(make(move), { code: 'device_state_forbids' })
        else await make(move)
        assert.equal(stateNow(), to ?? from)
        assert.equal(rows('audit', 'target', 'd1'), audited + (to === undefined ? 0 : 1))
      })
    }
  }

  it('have no move that is not in the table of semantics', () => {
    for (const [move, { from, to }] of Object.entries(deviceTransitions)) {
      const allowed = devices[move as keyof typeof devices]
      assert.deepEqual([...from].sort(), Object.keys(allowed).sort(), move)
      for (const target of Object.values(allowed)) assert.equal(target, to, move)
    }
  })
})
