// What is held against a broker, and what is not: just before, at and just after the end of a right.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkAdmission, checkRefusal } from '../../../device-sim/fleet/admission-verdict.ts'
import { createDeliveryTracker } from '../../../device-sim/fleet/delivery-tracker.ts'
import { createDevice, type Trial } from '../../../device-sim/fleet/device-state.ts'
import { createGroups } from '../../../device-sim/fleet/group.ts'
import { noFindings, type WorkerContext } from '../../../device-sim/fleet/worker-context.ts'
import type { Session } from '../../../device-sim/links/session.ts'
import type { Expectation } from '../../../device-sim/results/summary.ts'
import { createCounts, createLatencies } from '../../../device-sim/results/tick.ts'
import { planOf } from '../../../device-sim/scenario/plan.ts'
import type { Schedule } from '../../../device-sim/schedule.ts'
import { overTls } from '../../../device-sim/target.ts'

const GRACE_MS = 2_000
const session = {} as Session

/** One device in a context whose clock stands at `now`; `later` runs what is due in the meantime. */
function scene(expect: Expectation, trial: Trial | null, now: number) {
  const { plan } = planOf({ name: 'x', groups: [{ name: 'g', count: 1 }], stages: [{ kind: 'ramp' }] })
  assert.ok(plan)
  const due: { at: number; run(at: number): void }[] = []
  const schedule = {
    now: () => now,
    at: (at, run) => {
      due.push({ at, run })
      return { cancel: () => {} }
    },
  } as Schedule
  const context: WorkerContext = {
    openMqttJs: null,
    ports: null,
    runId: 'r',
    seed: 1,
    broker: { url: '', host: '', port: 0, ca: null, ...overTls },
    schedule,
    beatsPerMs: 0,
    connectTimeoutMs: 1,
    graceMs: GRACE_MS,
    sources: [],
    counts: createCounts(1),
    latencies: createLatencies(1),
    deliveries: createDeliveryTracker(),
    ending: false,
    findings: noFindings(),
    lastArrivalAt: 0,
    nextStream: () => 1,
  }
  const part = { index: 0, group: 0, n: '1', id: 'd', clientId: 'd', credentials: null }
  const device = Object.assign(createDevice(part, createGroups(plan)[0]!, context), {
    expect,
    trial,
    session,
  })
  const counts = context.counts.groups[0]!
  const later = (at: number): void => {
    for (const one of due) if (one.at <= at) one.run(one.at)
  }
  return { device, context, counts, later }
}

const revoked = (answeredAt: number | null): Trial => ({ action: 0, answeredAt, dropped: false })

describe('an admission', () => {
  it('of a device that never had a right is wrong at once', () => {
    const { device, context, counts } = scene('refused', null, 100)
    checkAdmission(device, context, session, 90)
    assert.deepEqual([counts.wronglyAdmitted, context.findings.admitted[0]?.how], [1, 'admitted'])
  })

  for (const [begunAt, wrong] of [
    [99, 0],
    [100, 0],
    [101, 1],
  ] as const) {
    it(`begun at ${begunAt} is ${wrong ? '' : 'not '}wrong where the right was known to have ended at 100`, () => {
      const { device, context, counts } = scene('refused', revoked(100), 105)
      checkAdmission(device, context, session, begunAt)
      assert.equal(counts.wronglyAdmitted, wrong)
    })
  }

  it('begun before is wrong once the grace is over, and only then', () => {
    const { device, context, counts, later } = scene('refused', revoked(100), 105)
    checkAdmission(device, context, session, 99)
    later(105 + GRACE_MS - 1)
    assert.equal(counts.wronglyAdmitted, 0)
    later(105 + GRACE_MS)
    assert.deepEqual([counts.wronglyAdmitted, context.findings.kept.length], [1, 1])
  })

  it('whose session was cut within the grace is not wrong', () => {
    const { device, context, counts, later } = scene('refused', revoked(100), 105)
    checkAdmission(device, context, session, 99)
    Object.assign(device, { session: null })
    later(105 + GRACE_MS)
    assert.equal(counts.wronglyAdmitted, 0)
  })
})

describe('a refusal', () => {
  const seen = { kind: 'connack', code: 5 } as const
  const cases: [what: string, expect: Expectation, trial: Trial | null, begunAt: number, wrong: number][] = [
    ['of an honest device is wrong', 'admitted', null, 0, 1],
    ['of a rogue is right', 'refused', null, 0, 0],
    ['while an operator acts is right', 'either', revoked(null), 0, 0],
    ['of an attempt that began before the device was activated is right', 'admitted', revoked(100), 100, 0],
    ['of one that began after is wrong', 'admitted', revoked(100), 101, 1],
  ]
  for (const [what, expect, trial, begunAt, wrong] of cases) {
    it(what, () => {
      const { device, context, counts } = scene(expect, trial, 200)
      checkRefusal(device, context, seen, begunAt)
      assert.equal(counts.wronglyRefused, wrong)
      assert.deepEqual(counts.refusals['connack_5'], { expected: 1 - wrong, unexpected: wrong })
    })
  }

  it('that nobody saw proves nothing', () => {
    const { device, context, counts } = scene('refused', null, 200)
    checkRefusal(device, context, { kind: 'timeout', stage: 'tls' }, 0)
    assert.deepEqual([counts.unproven, counts.connects.failed, counts.connects.refused], [1, 1, 0])
  })
})
