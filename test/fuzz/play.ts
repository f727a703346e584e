// Plays a sequence against system and model, side by side, and says where they part.
import assert from 'node:assert/strict'
import { type Command, filters, named, topics } from './commands.ts'
import type { Ground } from './ground.ts'
import { createModel, type Model } from './model.ts'
import type { Rules } from './model-roll.ts'
import type { Expected } from './model-state.ts'
import { maySubscribe, mayUse } from './rights.ts'
import { type System, startSystem, turnOfTheLoop } from './system.ts'

/** How long the system may take to be what the model says at once, on a machine that is busy with others. */
const AGREE_MS = 30_000

/** Throws at the first step after which the two do not agree. */
export async function play(
  ground: Ground,
  commands: readonly Command[],
  law?: Rules,
  agreeMs = AGREE_MS,
): Promise<void> {
  const system = await startSystem(ground)
  try {
    const model = createModel(law)
    for (const [index, given] of commands.entries()) {
      const command = model.named(given)
      const payload = `message ${index}`
      const expected = model.step(command, payload)
      const answer = await system.step(command, payload)
      await agreed(
        system,
        model,
        expected,
        answer,
        agreeMs,
        `after step ${index + 1}, ${JSON.stringify(command)}`,
      )
    }
  } finally {
    await system.close()
  }
}

async function agreed(
  system: System,
  model: Model,
  expected: Expected,
  answer: string,
  agreeMs: number,
  when: string,
) {
  assert.equal(answer, expected.answer, `the answer ${when}`)
  const end = performance.now() + agreeMs
  const roll = JSON.stringify(model.roll())
  const come = async (holds: () => boolean) => {
    while (!holds() && performance.now() < end) await turnOfTheLoop()
  }
  // What the broker notes of a first CONNECT may be what time has something to do about.
  while (JSON.stringify(system.roll()) !== roll && performance.now() < end) await system.pass()
  assert.deepEqual(system.roll(), model.roll(), `the roll ${when}`)
  await come(system.isSettled)
  assert.ok(system.isSettled(), `the broker has not acknowledged the change ${when}`)
  const connected = model.connected()
  await come(() => `${system.connected()}` === `${connected}` && system.sessions() === connected.length)
  await come(() => isSubset(expected.must, system.heard()))
  // Whatever is still under way has arrived when the answers to these have.
  await system.ping()
  if (system.heard().length > 0) await system.ping() // and what was heard is acknowledged
  assert.deepEqual(system.connected(), connected, `connected devices ${when}`)
  assert.equal(system.sessions(), connected.length, `sessions inside ${when}`)
  const told = (heard: Iterable<string>) => [...heard].filter(one => !expected.may.has(one)).sort()
  assert.deepEqual(told(system.heard()), told(expected.must), `what was heard ${when}`)
  assertRights(system, model, when)
}

function assertRights(system: System, model: Model, when: string): void {
  for (const standing of model.standings()) {
    const rights = system.rights(standing.device)
    for (const template of topics) {
      const topic = named(template, standing.device)
      const may = [rights.publish(topic, 1, false), rights.receive(topic), rights.will(topic, 0, false)]
      const should = (['publish', 'receive', 'will'] as const).map(action => mayUse(standing, topic, action))
      assert.deepEqual(may, should, `publish, receive, will of ${standing.device} on ${topic} ${when}`)
    }
    for (const template of filters) {
      const filter = named(template, standing.device)
      assert.equal(
        rights.subscribe(filter),
        maySubscribe(standing, filter),
        `${standing.device} subscribing ${filter} ${when}`,
      )
    }
  }
}

function isSubset(some: ReadonlySet<string>, all: readonly string[]): boolean {
  const known = new Set(all)
  return [...some].every(one => known.has(one))
}
