// kill -9 at random moments while operators enroll and revoke: what was answered is on record, a revoked device stays
// out, and the services listen again within seconds. The same again: ROLLCALL_FAULT_SEED.
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import { createRandom } from '../../device-sim/random.ts'
import { until } from '../cli/running.ts'
import { knock } from '../e2e/devices.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'
import { length } from './length.ts'
import { type AnswerRecord, createAnswerRecord, operate } from './operators.ts'
import { killAndReturn } from './restarted.ts'

const rounds = length(4, 50)
const seed = Number(process.env['ROLLCALL_FAULT_SEED'] ?? randomInt(2 ** 31))
const OPERATORS = 4
const KNOCKS_PER_ROUND = 10
/** From the kill to both services accepting again: what half of the rounds keep, and what all do, on a machine that is busy with others too. */
const BACK_MS = length(20_000, 3_000)
const BACK_MAX_MS = length(60_000, 15_000)
const victims = ['both', 'both', 'group', 'provisioning', 'broker'] as const

describe('kill -9 during enrollments and revocations', () => {
  const world = scratch()
  let system: System
  before(async () => {
    system = await startSystem(world.at('data'))
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  it(`loses nothing that was answered, and admits no revoked device, in ${rounds} rounds`, async t => {
    t.diagnostic(`ROLLCALL_FAULT_SEED=${seed} replays these moments`)
    const random = createRandom(seed)
    const answers = createAnswerRecord()
    const waitsMs: number[] = []
    for (let round = 1; round <= rounds; round += 1) {
      // In the short run each in turn.
      const victim = victims[rounds < 10 ? round : Math.floor(random() * victims.length)] ?? 'both'
      const delayMs = Math.floor(random() * 500)
      const label = `round ${round}: ${victim} after ${delayMs} ms (seed ${seed})`
      const stop = new AbortController()
      const operators = Array.from({ length: OPERATORS }, (_, index) =>
        operate(system.api, `r${round}-o${index}`, answers, random, stop.signal),
      )
      // There is something to lose in every round, however slow the machine.
      const listed = answers.listed.size
      const toLose = () => answers.listed.size > listed + 1 && answers.revoked.size > 0
      await until(toLose, 'some are enrolled and revoked', BACK_MAX_MS)
      await new Promise(resolve => setTimeout(resolve, delayMs))
      const backMs = await kill(victim)
      stop.abort()
      await Promise.all(operators)
      waitsMs.push(backMs)
      assert.ok(backMs <= BACK_MAX_MS, `${label}: back after ${Math.round(backMs)} ms`)
      await assertKept(system, answers, label)
      await assertDecided(system, answers, random, label)
    }
    waitsMs.sort((one, other) => one - other)
    const medianMs = waitsMs[Math.floor(waitsMs.length / 2)] ?? 0
    assert.ok(medianMs <= BACK_MS, `back after ${Math.round(medianMs)} ms`)
    await assertRetriesWork(system, answers)
    t.diagnostic(
      `${answers.listed.size} listed, ${answers.revoked.size} revoked, ${answers.unanswered.length} unanswered, ` +
        `back within ${Math.round(waitsMs.at(-1) ?? 0)} ms, half within ${Math.round(medianMs)} ms`,
    )
    assert.equal(await system.end(), 0)
    assertSound(world.at('data', 'registry.db'), answers)
  })

  async function kill(victim: (typeof victims)[number]): Promise<number> {
    if (victim === 'group') {
      const began = performance.now()
      await system.killAll()
      system = await startSystem(world.at('data'))
      return performance.now() - began
    }
    return killAndReturn(system, victim === 'both' ? ['provisioning', 'broker'] : [victim])
  }
})

/** Every 201 is listed as it was answered, every revocation that was answered 200 stands. */
async function assertKept({ api }: System, answers: AnswerRecord, label: string): Promise<void> {
  const devices = new Set((await api.list<{ id: string }>('/v1/devices')).map(device => device.id))
  for (const id of answers.added) assert.ok(devices.has(id), `${label}: ${id} was added`)
  const items = await api.list<{ fingerprint: string; serialNumber: string; status: string }>(
    '/v1/certificates',
  )
  const certificates = new Map(items.map(item => [item.fingerprint, item]))
  for (const { fingerprint, serialNumber } of answers.listed.values()) {
    assert.equal(
      certificates.get(fingerprint)?.serialNumber,
      serialNumber,
      `${label}: ${fingerprint} was listed`,
    )
  }
  for (const fingerprint of answers.revoked) {
    assert.equal(certificates.get(fingerprint)?.status, 'revoked', `${label}: ${fingerprint} was revoked`)
  }
}

/** The broker decides by the same record. */
async function assertDecided(
  { mqttsPort }: System,
  answers: AnswerRecord,
  random: () => number,
  label: string,
) {
  const some = [...answers.listed.values()].sort(() => random() - 0.5)
  const revoked = some.filter(device => answers.revoked.has(device.fingerprint)).slice(0, KNOCKS_PER_ROUND)
  const standing = some.filter(
    device => !answers.doubtful.has(device.fingerprint) && !answers.revoked.has(device.fingerprint),
  )
  for (const device of revoked) {
    assert.equal(await knock(mqttsPort, device.id, device), 'connack 5', `${label}: ${device.id} is out`)
  }
  for (const device of standing.slice(0, KNOCKS_PER_ROUND)) {
    assert.equal(await knock(mqttsPort, device.id, device), 'connack 0', `${label}: ${device.id} is in`)
  }
}

/** Whatever was cut short can simply be asked again. */
async function assertRetriesWork({ api, mqttsPort }: System, answers: AnswerRecord): Promise<void> {
  for (const { id, csr, key } of answers.unanswered) {
    const added = await api.call('POST', '/v1/devices', { id })
    assert.ok(added.status === 201 || added.status === 409, `${id}: ${added.status}`)
    const { status, body } = await api.call('POST', `/v1/devices/${id}/certificates`, { csr })
    assert.equal(status, 201, `${id}: ${JSON.stringify(body)}`)
    const certificate = [body.certificate, ...body.chain].join('')
    assert.equal(await knock(mqttsPort, id, { certificate, key }), 'connack 0')
  }
}

function assertSound(file: string, answers: AnswerRecord): void {
  const registry = new Sqlite(file, { readonly: true })
  try {
    assert.equal(registry.pragma('integrity_check', { simple: true }), 'ok')
    assert.deepEqual(registry.pragma('foreign_key_check'), [])
    const repeated = `SELECT serial_number FROM (SELECT serial_number, issuer_id FROM certificates)
      GROUP BY serial_number, issuer_id HAVING count(*) > 1`
    assert.deepEqual(registry.prepare(repeated).all(), [])
    // What the CA signed was on record before it signed.
    const unintended =
      'SELECT fingerprint FROM certificates WHERE serial_number NOT IN (SELECT serial_number FROM issuances)'
    assert.deepEqual(registry.prepare(unintended).all(), [])
    const revocations = registry
      .prepare(`SELECT target FROM audit WHERE action = 'certificate.revoke'`)
      .pluck()
      .all()
    for (const fingerprint of answers.revoked)
      assert.ok(revocations.includes(fingerprint), 'each has its audit row')
  } finally {
    registry.close()
  }
}
