// Requests that take long: others are served meanwhile, revocations before all, and what would take too long is refused.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createEventLoopYield } from '../../../db/event-loop-yield.ts'
import type { PolicyReader } from '../../../db/policies/policy-reader.ts'
import { actions } from '../../../policy/document.ts'
import { tryOnFleet } from '../../../provisioning/policies/fleet-trial.ts'
import { createPolicyResolver } from '../../../provisioning/policies/policy-resolver.ts'
import { createTimeSlices, type TimeSlices, WorkTooLong } from '../../../provisioning/time-slices.ts'
import { assertProblem, type Service, startService } from '../harness.ts'

/** As many topics as a document may have, in as few bytes as they take. */
const largest = (name: string, prefix: string) => ({
  name,
  statements: Array.from({ length: 100 }, (_, one) => ({
    effect: 'allow' as const,
    actions: [...actions],
    topics: Array.from({ length: 70 }, (_, two) => `${prefix}/${(one * 70 + two).toString(36)}`),
  })),
})

describe('long requests', () => {
  let service: Service
  before(async () => {
    service = await startService()
    for (let index = 0; index < 6; index += 1) await service.call('POST', '/v1/devices', { id: `d${index}` })
    const { status } = await service.call('PUT', '/v1/policies/large', largest('large', 'a'))
    assert.equal(status, 201)
    await service.call('PUT', '/v1/policies/large/attachments/everyone')
  })
  after(() => service[Symbol.asyncDispose]())

  test('the largest trial on a fleet leaves the event loop to others: suspensions are answered before it', async () => {
    const order: string[] = []
    const watch = watchLoop()
    const tried = service
      .call('POST', '/v1/policies/large/simulate/fleet', { document: largest('large', 'b'), limit: 1_000 })
      .then(answer => {
        order.push('trial')
        return answer
      })
    for (let index = 0; index < 5; index += 1) {
      const { status } = await service.call('POST', `/v1/devices/d${index}/suspend`)
      assert.equal(status, 200)
      order.push('suspended')
    }
    const { status, body, text } = await tried
    assert.equal(status, 200, text)
    assert.deepEqual(order, [...Array(5).fill('suspended'), 'trial'])
    assert.deepEqual([body.devicesTotal, body.devicesLosing, body.devicesGaining], [6, 6, 6])
    assert.equal(body.items.length, 6)
    const listed = body.items.flatMap((item: { lost: []; gained: [] }) => [...item.lost, ...item.gained])
    assert.equal(listed.length, 5_000, 'an answer names a bounded number of filters')
    assert.equal(body.items[0].complete, false)
    // It took some 0.7 s for each device, all at once.
    const longest = watch.end()
    assert.ok(longest < 1_000, `the event loop was held for ${longest} ms`)
  })

  test('a page of devices ends early where they have much to tell, and its cursor leads to the rest', async () => {
    const attributes = Object.fromEntries(
      Array.from({ length: 50 }, (_, index) => [`a${index}`, 'v'.repeat(1_024)]),
    )
    for (let index = 0; index < 15; index += 1)
      await service.call('POST', '/v1/devices', { id: `long${index}`, attributes })
    let path = '/v1/devices?limit=500&prefix=long'
    const sizes: number[] = []
    const ids = new Set<string>()
    for (;;) {
      const { body } = await service.call('GET', path)
      sizes.push(body.items.length)
      for (const { id } of body.items) ids.add(id)
      if (body.nextCursor === null) break
      path = `/v1/devices?limit=500&prefix=long&cursor=${body.nextCursor}`
    }
    // 11 of 51,200 characters are the first to be more than 524,288.
    assert.deepEqual(sizes, [11, 4])
    assert.equal(ids.size, 15)
  })

  test('a long CRL comes as DER, not as text that is parsed at once', async () => {
    const path = `/v1/issuers/${'f'.repeat(64)}/crl`
    const crl = 'A'.repeat(4 * 1024 * 1024)
    const refused = await service.call('PUT', path, { crl })
    assertProblem(refused, 413, 'body_too_large')
    assert.match(refused.body.detail, /application\/pkix-crl/)
    const raw = 'A'.repeat(5 * 1024 * 1024)
    const headers = { 'content-type': 'application/pkix-crl' }
    assertProblem(await service.call('PUT', path, undefined, { raw, headers }), 404, 'issuer_unknown')
  })
})

test('what everybody may ask for is put together once, and anew where it changed', async () => {
  await using service = await startService()
  const open = (path: string) => service.call('GET', path, undefined, { token: null })
  const [document, again] = [await open('/openapi.json'), await open('/openapi.json')]
  assert.equal(document.headers['content-type'], 'application/json; charset=utf-8')
  assert.equal(document.text, again.text)
  const json = await open('/docs/json')
  assert.deepEqual([json.status, json.headers['location']], [302, '/openapi.json'])
  for (const copy of ['/docs/yaml', '/docs/yaml/']) assertProblem(await open(copy), 404, 'route_unknown')
  assert.equal((await open('/docs/')).status, 200)
  const before = await open('/.well-known/est/cacerts')
  assert.equal((await open('/.well-known/est/group/cacerts')).text, before.text)
  assert.equal((await service.call('POST', '/v1/ca/rotate', {})).status, 200)
  const after = await open('/.well-known/est/cacerts')
  assert.ok(after.text.length > before.text.length + 500, 'another issuing CA is among them')
})

test('a trial that compares too much is refused with what the bound is', () => {
  const text = JSON.stringify(largest('p', 'a'))
  const reader = {
    snapshot: () => ({
      documents: new Map([['p', text]]),
      attached: new Map([['everyone ', ['p']]]),
    }),
    nodesTotal: () => 0,
    deviceIds: (after: string) => (after === '' ? ['d1', 'd2'] : []),
    holder: (deviceId: string) => ({ deviceId, attributes: {}, groups: [], certificate: null }),
    subscriptions: () => [],
  } as unknown as PolicyReader
  const draft = { name: 'p', document: largest('p', 'b') }
  // Both ways; each time what is kept, what it is found by, and what is looked for. Both devices differ alike.
  const comparisons = 2 * 3 * 7_000
  assert.doesNotThrow(() => [...tryOnFleet(reader, draft, 1, comparisons)])
  assert.throws(() => [...tryOnFleet(reader, draft, 1, comparisons - 1)], {
    reason: 'trial_too_large',
    message: /more than 41999 topic filters/,
  })
})

test('the largest policy is bound to a device a statement in a step, and a question is a step', async () => {
  const documents = new Map([['p', JSON.stringify(largest('p', 'a'))]])
  const reader = {
    snapshot: () => ({ documents, attached: new Map([['everyone ', ['p']]]) }),
  } as unknown as PolicyReader
  let steps = 0
  const counting: TimeSlices = {
    async run(work) {
      for (let step = work.next(); ; step = work.next(), steps += 1) if (step.done === true) return step.value
    },
  }
  const resolver = createPolicyResolver(reader, counting)
  const holder = { deviceId: 'd1', attributes: {}, groups: [], certificate: null }
  const stepsOf = async (work: () => Promise<unknown>) => {
    const before = steps
    await work()
    return steps - before
  }
  assert.ok((await stepsOf(() => resolver.effective(holder))) >= 100)
  const question = { action: 'publish', topic: 'a/0', qos: 0, retain: false } as const
  const draft = largest('p', 'b')
  const one = await stepsOf(() => resolver.simulate(holder, draft, [question]))
  assert.ok(one >= 2 * 100)
  assert.equal(await stepsOf(() => resolver.simulate(holder, draft, [question, question])), one + 2)
})

test('work runs one slice in a turn of the event loop, by turns, and a bounded number of it at once', async () => {
  const slices = createTimeSlices({ sliceMs: 0, workMax: 2 })
  const seen: string[] = []
  function* work(name: string) {
    for (let step = 0; step < 3; step += 1) {
      seen.push(name)
      yield
    }
    return name
  }
  const running = [slices.run(work('a')), slices.run(work('b'))]
  await assert.rejects(slices.run(work('c')), { reason: 'service_busy' })
  await turn()
  assert.ok(seen.length <= 1, `${seen}`)
  assert.deepEqual(await Promise.all(running), ['a', 'b'])
  assert.deepEqual(seen, ['a', 'b', 'a', 'b', 'a', 'b'])
})

test('long reads go on one after the other, each in a turn of its own', async () => {
  const nextTurn = createEventLoopYield()
  const order: string[] = []
  const read = async (name: string) => {
    for (let step = 0; step < 2; step += 1) {
      await nextTurn()
      order.push(name)
    }
  }
  const both = Promise.all([read('a'), read('b')])
  await turn()
  assert.ok(order.length <= 1)
  await both
  assert.deepEqual(order, ['a', 'b', 'a', 'b'])
})

test('work that nobody waits for ends at its next slice, and what throws ends itself alone', async () => {
  const slices = createTimeSlices({ sliceMs: 0, workMax: 3 })
  let steps = 0
  function* endless() {
    for (;;) {
      steps += 1
      yield
    }
  }
  // biome-ignore lint/correctness/useYield: it fails at its first step
  function* failing(): Generator<void, void> {
    throw new Error('broken')
  }
  const left = slices.run(endless(), () => steps > 5)
  await assert.rejects(slices.run(failing()), /broken/)
  await assert.rejects(left, { reason: 'service_busy' })
  assert.equal(steps, 6)
})

test('a bounded number of pieces of work is in progress, and the others wait in their order', async () => {
  const slices = createTimeSlices({ sliceMs: 0, workMax: 4, begunMax: 2 })
  const seen: string[] = []
  function* work(name: string) {
    for (let step = 0; step < 2; step += 1) {
      seen.push(name)
      yield
    }
  }
  await Promise.all(['a', 'b', 'c', 'd'].map(name => slices.run(work(name))))
  assert.equal(seen.join(''), 'ababcdcd')

  let ended = false
  function* endless() {
    while (!ended) yield
  }
  const single = createTimeSlices({ sliceMs: 0, workMax: 2, begunMax: 1 })
  const running = single.run(endless())
  // Nobody waits for it any more before it has begun.
  await assert.rejects(
    single.run(work('e'), () => true),
    { reason: 'service_busy' },
  )
  ended = true
  await running
})

test('work that takes too long, or waits too long beside others, is refused with how long that is', async () => {
  let steps = 0
  function* endless() {
    for (;;) {
      steps += 1
      yield
    }
  }
  const short = createTimeSlices({ sliceMs: 0, workMax: 1, workMsMax: 0 })
  await assert.rejects(short.run(endless()), new WorkTooLong('it takes more than 0 s'))
  assert.equal(steps, 1)
  const hasty = createTimeSlices({ sliceMs: 0, workMax: 1, waitMsMax: 0 })
  await assert.rejects(hasty.run(endless()), {
    reason: 'service_busy',
    message: /within 0 s beside other work/,
  })
  assert.equal(steps, 2)
})

/** The longest time that lay between two turns of the event loop, in ms. */
function watchLoop(): { end(): number } {
  let [last, longest, ended] = [performance.now(), 0, false]
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (!ended) setTimeout(look, 1).unref()
  }
  look()
  return {
    end() {
      ended = true
      return Math.round(longest)
    },
  }
}
