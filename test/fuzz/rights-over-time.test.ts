// Random lives of a small fleet, on real sockets: after every step the system and a small model agree on the connected
// devices, their rights and the receivers of messages. ROLLCALL_FUZZ_STEPS plays longer, ROLLCALL_FUZZ_SEED and ROLLCALL_FUZZ_PATH play again.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { begin, type Command, command } from './commands.ts'
import { type Ground, layGround } from './ground.ts'
import { createModel, type Model } from './model.ts'
import { type Rules, rules } from './model-roll.ts'
import type { Expected } from './model-state.ts'
import { play } from './play.ts'

const STEPS = Number(process.env['ROLLCALL_FUZZ_STEPS'] ?? 3_000)
const SEED = Number(process.env['ROLLCALL_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const PATH = process.env['ROLLCALL_FUZZ_PATH']
const SEQUENCES_AT_ONCE = 10
/** Played by models alone, without the system. */
const LIVES = 500

const sequence = fc
  .array(command, { minLength: 1, maxLength: 100, size: 'max' })
  .map((commands): Command[] => [...begin, ...commands])

let ground: Ground
before(async () => {
  ground = await layGround()
})
after(() => ground[Symbol.asyncDispose]())

test(`system and model agree after each of ${STEPS} random steps`, async t => {
  t.diagnostic(`ROLLCALL_FUZZ_SEED=${SEED}`)
  let taken = 0
  const played = fc.asyncProperty(sequence, async commands => {
    await play(ground, commands, rules)
    taken += commands.length
  })
  const start = performance.now()
  if (PATH !== undefined) await fc.assert(played, { seed: SEED, path: PATH })
  else
    for (let seed = SEED; taken < STEPS; seed += 1) {
      await fc.assert(played, { seed, numRuns: SEQUENCES_AT_ONCE })
    }
  t.diagnostic(`${taken} steps in ${((performance.now() - start) / 1_000).toFixed(1)} s`)
})

const wrongs: [what: string, law: Partial<Rules>][] = [
  ['a suspension lets sessions go on', { suspensionCuts: false }],
  ['grace lasts a week', { graceMs: 7 * rules.graceMs }],
  ['three certificates admit a device', { admittingMax: 3 }],
  ['notBefore has no skew', { skewMs: 0 }],
  ['a session of MQTT 5 never expires', { sessionsExpire: false }],
  ['a will of MQTT 5 does not wait for its delay', { willsWait: false }],
  ['No Local is not asked', { noLocal: false }],
  ['a restart forgets what devices left', { leftSurvivesRestart: false }],
]
/** The shortest of many lives in which this model says what the right one does not, whatever may be heard or not. */
function lifeThatShows(law: Partial<Rules>): Command[] {
  const lives = fc.sample(sequence, { seed: 1, numRuns: LIVES }).toSorted((a, b) => a.length - b.length)
  const life = lives.find(commands => differ(commands, law))
  assert.ok(life, `none of ${LIVES} lives shows it`)
  return life
}

function differ(commands: readonly Command[], law: Partial<Rules>): boolean {
  const [right, wrong] = [createModel(rules), createModel({ ...rules, ...law })]
  return commands.some((given, index) => {
    const command = wrong.named(given)
    const [is, said] = [right, wrong].map(model => model.step(command, `message ${index}`)) as [
      Expected,
      Expected,
    ]
    const state = ({ roll, connected }: Model) => JSON.stringify([roll(), connected()])
    return (
      is.answer !== said.answer ||
      state(right) !== state(wrong) ||
      [...is.must].some(one => !said.must.has(one) && !said.may.has(one)) ||
      [...said.must].some(one => !is.must.has(one) && !is.may.has(one))
    )
  })
}

for (const [what, law] of wrongs) {
  test(`a model that is wrong is found out: ${what}`, async () => {
    const wrong = play(ground, lifeThatShows(law), { ...rules, ...law }, 200)
    await assert.rejects(wrong, assert.AssertionError, 'it went unnoticed')
  })
}

const compromise = { do: 'certificate', certificate: 'd1.0', move: 'revoke compromised' } as const
const enrolled = { do: 'enroll', pending: false, compromise: false } as const
const found: [what: string, law: Partial<Rules>, life: Command[]][] = [
  [
    'a compromised key goes on admitting by its other certificate',
    { compromiseCoversTheKey: false },
    [{ ...enrolled, certificate: 'd1.3', by: null }, compromise],
  ],
  [
    'what a compromised key obtained stays',
    { compromiseCoversTheLineage: false },
    [{ ...enrolled, certificate: 'd1.1', by: 0 }, compromise],
  ],
]
for (const [what, law, life] of found) {
  test(`a model that is wrong is found out by the shortest life that shows it: ${what}`, async () => {
    await play(ground, [...begin, ...life], rules)
    const wrong = play(ground, [...begin, ...life], { ...rules, ...law }, 200)
    await assert.rejects(wrong, assert.AssertionError)
  })
}

test('what is found shrinks to the steps that matter, and can be played again', async () => {
  // Answers differ at once: nothing here waits for the two to agree, however busy the machine is.
  const wrong = fc.asyncProperty(sequence, commands => play(ground, commands, { ...rules, admittingMax: 3 }))
  // One of few steps: from a life of 109 in 41 lives.
  const found = await fc.check(wrong, { seed: 113 })
  const steps = found.counterexample![0].slice(begin.length)
  assert.ok(steps.length <= 3 && steps.filter(one => one.do === 'enroll').length >= 2, JSON.stringify(steps))
  const again = await fc.check(wrong, {
    seed: found.seed,
    path: found.counterexamplePath!,
    endOnFailure: true,
  })
  assert.deepEqual(again.counterexample, found.counterexample)
})
