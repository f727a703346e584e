// The order of changes: the narrow ones at once, the wide ones in slices, acknowledged one after the other.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createChangeQueue } from '../../../broker/revocation/change-queue.ts'
import type { Change } from '../../../db/change-feed.ts'

const change = (epoch: number, kind: Change['kind'], deviceId: string | null = null): Change => ({
  epoch,
  at: 0,
  kind,
  deviceId,
  fingerprint: null,
  issuerId: null,
  topic: null,
})

/** A feed of changes that grows by hand, and sessions of which each costs a wide change a millisecond. */
function world(sessions: number) {
  const feed: Change[] = []
  const log: string[] = []
  const acknowledged: number[] = []
  const known = { behind: false }
  let atStep: (step: number) => void = () => {}
  let steps = 0
  const queue = createChangeQueue({
    feed: {
      dataVersion: () => feed.length,
      changesAfter(epoch, limit) {
        if (feed.at(-1)?.deviceId === 'unreadable') throw new Error('the feed could not be read')
        return feed.filter(({ epoch: own }) => own > epoch).slice(0, limit)
      },
    },
    epoch: 0,
    work: {
      read: ({ epoch }) => void log.push(`read ${epoch}`),
      fellBehind: () => Object.assign(known, { behind: true }),
      caughtUp: () => Object.assign(known, { behind: false }),
      actOn({ epoch, deviceId }) {
        if (deviceId === 'in doubt') throw new Error('the registry could not be read')
        log.push(`act ${epoch}`)
        return 1
      },
      *stepsOf({ epoch }) {
        log.push(`begin ${epoch}`)
        for (let at = 0; at < sessions; at += 1) yield step
        log.push(`end ${epoch}`)
      },
    },
    onAcknowledged: (epoch, sessionsCut) => {
      acknowledged.push(epoch)
      log.push(`acknowledge ${epoch}: ${sessionsCut}`)
    },
  })

  function step(): number {
    const end = performance.now() + 1
    while (performance.now() < end);
    steps += 1
    atStep(steps)
    return 1
  }

  return {
    feed,
    log,
    acknowledged,
    known,
    queue,
    onStep: (work: typeof atStep) => (atStep = work),
    steps: () => steps,
  }
}

test('a change about everybody lets the event loop go on, every few milliseconds', async () => {
  const { feed, queue, log, steps } = world(100)
  feed.push(change(1, 'issuer'))
  let turns = 0
  let turning = true
  const turn = () => {
    turns += 1
    if (turning) setImmediate(turn)
  }
  setImmediate(turn)
  await queue.follow()
  turning = false
  assert.equal(steps(), 100)
  assert.ok(turns >= 10, `${turns} turns in 100 ms`)
  assert.equal(log.at(-1), 'acknowledge 1: 100')
})

test('a revocation that comes meanwhile is acted on between two slices, and acknowledged after what was before it', async () => {
  const { feed, queue, log, onStep } = world(40)
  feed.push(change(1, 'policy'))
  onStep(step => {
    if (step === 3) feed.push(change(2, 'certificate', 'd1'))
  })
  await queue.follow()
  assert.deepEqual(log, [
    'read 1',
    'begin 1',
    'read 2',
    'act 2',
    'end 1',
    'acknowledge 1: 40',
    'acknowledge 2: 1',
  ])
})

test('all policies that changed before a pass are done with it; one that changes meanwhile asks for another', async () => {
  const { feed, queue, log, acknowledged, onStep } = world(20)
  feed.push(change(1, 'policy'), change(2, 'certificate', 'd1'), change(3, 'policy'))
  onStep(step => {
    if (step === 5) feed.push(change(4, 'policy'), change(5, 'policy'))
  })
  await queue.follow()
  assert.deepEqual(acknowledged, [1, 2, 3, 4, 5])
  assert.deepEqual(
    log.filter(line => line.startsWith('begin')),
    ['begin 1', 'begin 4'],
  )
  assert.ok(log.indexOf('acknowledge 3: 0') < log.indexOf('acknowledge 4: 20'))
})

test('issuers are looked at one by one, so that each tells how many it cut', async () => {
  const { feed, queue, log } = world(3)
  feed.push(change(1, 'issuer'), change(2, 'policy'), change(3, 'issuer'))
  await queue.follow()
  assert.deepEqual(
    log.filter(line => line.startsWith('acknowledge')),
    ['acknowledge 1: 3', 'acknowledge 2: 3', 'acknowledge 3: 3'],
  )
})

test('a doubt stops before the change it befell; what is done stays done and the rest is taken up again', async () => {
  const { feed, queue, log, acknowledged } = world(1)
  feed.push(change(1, 'certificate', 'd1'), change(2, 'device', 'in doubt'), change(3, 'device', 'd3'))
  await assert.rejects(queue.follow(), /could not be read/)
  assert.deepEqual(acknowledged, [1])
  await assert.rejects(queue.follow(), /could not be read/)
  feed[1] = change(2, 'device', 'd2')
  await queue.follow()
  assert.deepEqual(acknowledged, [1, 2, 3])
  assert.deepEqual(
    log.filter(line => line.startsWith('read')),
    ['read 1', 'read 2', 'read 3'],
    'each is announced once',
  )
})

test('a pass that fails is begun again, and is not acknowledged before it has ended', async () => {
  const { feed, queue, acknowledged, onStep, steps } = world(30)
  feed.push(change(1, 'policy'))
  onStep(step => {
    if (step === 10) throw new Error('the registry could not be read')
  })
  await assert.rejects(queue.follow(), /could not be read/)
  assert.deepEqual(acknowledged, [])
  await queue.follow()
  assert.deepEqual([acknowledged, steps()], [[1], 40])
})

test('more changes than are read at once are all acted on, in their order', async () => {
  const { feed, queue, acknowledged } = world(1)
  for (let epoch = 1; epoch <= 1_234; epoch += 1) feed.push(change(epoch, 'certificate', `d${epoch}`))
  await queue.follow()
  assert.deepEqual(
    acknowledged,
    feed.map(({ epoch }) => epoch),
  )
})

test('it is behind while something was written that it could not read, and not while it cannot act on what it read', async () => {
  const { feed, queue, known } = world(1)
  feed.push(change(1, 'device', 'in doubt'))
  await assert.rejects(queue.follow())
  assert.equal(known.behind, false)
  feed.push(change(2, 'device', 'unreadable'))
  await assert.rejects(queue.follow(), /feed/)
  assert.equal(known.behind, true)
  feed[1] = change(2, 'device', 'd2')
  await assert.rejects(queue.follow(), /registry/)
  assert.equal(known.behind, false)
})

test('nothing is acknowledged once it was stopped', async () => {
  const { feed, queue, acknowledged, onStep, steps } = world(100)
  feed.push(change(1, 'issuer'))
  onStep(step => {
    if (step === 20) queue.stop()
  })
  await queue.follow()
  assert.deepEqual(acknowledged, [])
  assert.ok(steps() < 100)
})
