// Trials on the fleet in their process: what ends one of them, what ends the process, and that the next trial starts another.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, test } from 'node:test'
import { actions, type PolicyDocument } from '../../../policy/document.ts'
import { createFleetTrials, type FleetTrials } from '../../../provisioning/policies/fleet-trials.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

let roll: Roll
let trials: FleetTrials | null
beforeEach(async () => {
  roll = await createRoll()
  trials = null
})
afterEach(async () => {
  await trials?.close()
  await roll.close()
})

const waiting = () => new AbortController().signal
const policy = (name: string, topics: number, prefix = name): PolicyDocument => ({
  name,
  statements: [
    {
      effect: 'allow',
      actions: [...actions],
      topics: Array.from({ length: topics }, (_, index) => `${prefix}/${index}`),
    },
  ],
})
const attachments = [{ kind: 'everyone', target: '' }] as const
const draft = (topics: number) => ({ name: 'p', document: policy('p', topics), attachments })
const LARGEST = 7_000

/** Devices that each hold another policy: what a draft changes is found out for each of them. */
async function addDevices(total: number): Promise<void> {
  for (let index = 0; index < total; index += 1) {
    await roll.writer.addDevice({ id: `d${index}`, attributes: {}, groups: [] }, tester)
    await roll.writer.putPolicy(`of-d${index}`, policy(`of-d${index}`, 1), tester)
    await roll.writer.attachPolicy(`of-d${index}`, 'device', `d${index}`, tester)
  }
}

test('a process that runs out of memory is an error of the trials in it, and the next trial starts another', async () => {
  await addDevices(12)
  trials = createFleetTrials(roll.registry.file, { heapMibMax: 24 })
  const outcomes = await Promise.allSettled([
    trials.run(draft(LARGEST), 10, waiting()),
    trials.run(draft(LARGEST), 10, waiting()),
  ])
  for (const outcome of outcomes) {
    assert.equal(outcome.status, 'rejected')
    const { reason, message, cause } = outcome.reason
    assert.deepEqual([reason, message], ['service_busy', 'the process that tried it ended'])
    assert.equal(cause.message, 'it ended with SIGABRT')
  }
  const { devicesTotal, devicesGaining } = JSON.parse(await trials.run(draft(1), 10, waiting()))
  assert.deepEqual([devicesTotal, devicesGaining], [12, 12])
})

test('a registry that cannot be opened is an error of each trial', async () => {
  trials = createFleetTrials(`${roll.registry.file}-gone`)
  for (let attempt = 0; attempt < 2; attempt += 1)
    await assert.rejects(trials.run(draft(1), 10, waiting()), ({ reason, cause }) => {
      assert.equal(reason, 'service_busy')
      assert.match(cause.message, /no registry at/)
      return true
    })
})

test('a trial ends where its caller goes away, and others beside it go on', async () => {
  await addDevices(4)
  trials = createFleetTrials(roll.registry.file)
  const caller = new AbortController()
  const left = trials.run(draft(LARGEST), 10, caller.signal)
  const other = trials.run(draft(LARGEST), 10, waiting())
  caller.abort()
  await assert.rejects(left, { reason: 'service_busy', message: 'the caller went away' })
  assert.equal(JSON.parse(await other).devicesTotal, 4)
  await assert.rejects(trials.run(draft(1), 10, caller.signal), { reason: 'service_busy' })
})

test('a trial that works or waits for too long is refused with how long that is', async () => {
  await addDevices(1)
  const short = createFleetTrials(roll.registry.file, { sliceMs: 0, workMsMax: 0 })
  await assert.rejects(short.run(draft(1), 10, waiting()), {
    reason: 'trial_too_large',
    message: /takes more than 0 s; try a document with fewer/,
  })
  await short.close()
  trials = createFleetTrials(roll.registry.file, { sliceMs: 0, waitMsMax: 0 })
  await assert.rejects(trials.run(draft(1), 10, waiting()), {
    reason: 'service_busy',
    message: /within 0 s beside other work/,
  })
})

test('sixteen trials are taken on at once, and those that run when the service ends are told', async () => {
  await addDevices(1)
  trials = createFleetTrials(roll.registry.file)
  const running = Array.from({ length: 16 }, () => trials!.run(draft(LARGEST), 10, waiting()))
  const outcomes = Promise.allSettled(running)
  const busy = { reason: 'service_busy', message: '16 trials on the fleet run already' }
  await assert.rejects(trials.run(draft(1), 10, waiting()), busy)
  await trials.close()
  for (const outcome of await outcomes) {
    assert.equal(outcome.status, 'rejected')
    assert.equal(outcome.reason.message, 'the process that tried it ended')
  }
  await assert.rejects(trials.run(draft(1), 10, waiting()), { reason: 'service_busy' })
})

test('a process that tries nothing for a while ends, and the next trial starts another', async () => {
  await addDevices(1)
  trials = createFleetTrials(roll.registry.file, { idleMsMax: 1 })
  await trials.run(draft(1), 10, waiting())
  await until(() => trialProcesses() === 0)
  assert.equal(JSON.parse(await trials.run(draft(1), 10, waiting())).devicesTotal, 1)
})

/** Of this test, by the file that they try drafts on. */
function trialProcesses(): number {
  const commands = readdirSync('/proc').flatMap(name => {
    try {
      return /^\d+$/.test(name) ? [readFileSync(`/proc/${name}/cmdline`, 'utf8')] : []
    } catch {
      return [] // it ended meanwhile
    }
  })
  return commands.filter(line => line.includes('fleet-trial-process') && line.includes(roll.registry.file))
    .length
}
