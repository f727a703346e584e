// Policies bound to a device: default deny, deny wins, and no value changes the shape of a filter.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Action, PolicyDocument, Statement } from '../../policy/document.ts'
import { bindRights } from '../../policy/rights.ts'

const values = new Map([
  ['device.id', 'd1'],
  ['device.attr.site', 'north'],
])

function policy(...statements: Statement[]): PolicyDocument {
  return { name: 'test', statements }
}

function allow(actions: Action[], topics: string[], when?: Statement['when']): Statement {
  return { effect: 'allow', actions, topics, ...(when ? { when } : {}) }
}

function deny(actions: Action[], topics: string[]): Statement {
  return { effect: 'deny', actions, topics }
}

function bound(...statements: Statement[]) {
  const rights = bindRights([policy(...statements)], values)
  assert.ok(rights)
  return rights
}

test('nothing is allowed where nothing is said', () => {
  const rights = bound()
  assert.equal(rights.publish('a', 0, false), false)
  assert.equal(rights.subscribe('a'), false)
  assert.equal(rights.receive('a'), false)
  assert.equal(rights.will('a', 0, false), false)
})

test('a deny wins wherever it stands', () => {
  const rights = bound(
    deny(['publish'], ['devices/d1/secret/#']),
    allow(['publish'], [`devices/\${device.id}/#`]),
  )
  assert.equal(rights.publish('devices/d1/x', 2, false), true)
  assert.equal(rights.publish('devices/d1/secret', 0, false), false)
  assert.equal(rights.publish('devices/d1/secret/x', 0, false), false)
})

test('retaining needs a right of its own', () => {
  const rights = bound(allow(['publish', 'will'], ['a/#']), allow(['retain'], ['a/kept']))
  assert.deepEqual([rights.publish('a/kept', 0, true), rights.publish('a/x', 0, true)], [true, false])
  assert.deepEqual([rights.will('a/kept', 0, true), rights.will('a/x', 0, true)], [true, false])
})

test('qosMax narrows an allow, and never a deny', () => {
  const rights = bound(
    allow(['publish'], ['a'], { qosMax: 1 }),
    { ...deny(['publish'], ['b']), when: { qosMax: 0 } },
    allow(['publish'], ['b']),
  )
  assert.deepEqual(
    ([0, 1, 2] as const).map(qos => rights.publish('a', qos, false)),
    [true, true, false],
  )
  assert.equal(rights.publish('b', 2, false), false)
})

test('a subscription needs one allow that contains it; a deny that overlaps it filters message by message', () => {
  const rights = bound(allow(['subscribe'], ['a/#', 'b/+']), deny(['subscribe'], ['a/secret/#']))
  assert.equal(rights.subscribe('a/#'), true)
  assert.equal(rights.subscribe('a/secret/x'), false)
  assert.equal(rights.subscribe('b/#'), false)
  assert.equal(rights.receive('a/open'), true)
  assert.equal(rights.receive('a/secret/x'), false)
})

test('topics that begin with $ stay closed whatever a policy says', () => {
  const rights = bound(allow(['publish', 'subscribe', 'will', 'receive'], ['#', '$SYS/#', '+/#', '$share/#']))
  for (const topic of ['$SYS/x', '$SYS', '$SYS/+/x', '$share', '$share/g', '$share/g/$SYS/x', '$']) {
    assert.equal(rights.publish(topic, 0, false), false)
    assert.equal(rights.will(topic, 0, false), false)
    assert.equal(rights.subscribe(topic), false)
  }
  assert.equal(rights.subscribe('#'), true)
  assert.equal(rights.publish('$SYS/broker/x', 0, false), false)
})

test('the figures of the broker are open if a policy names them, and never by a wildcard', () => {
  const operator = bound(allow(['subscribe'], ['$SYS/broker/#']))
  assert.equal(operator.subscribe('$SYS/broker/uptime'), true)
  assert.equal(operator.subscribe('$SYS/broker/#'), true)
  assert.equal(operator.receive('$SYS/broker/uptime'), true)
  assert.equal(operator.subscribe('$SYS/#'), false)
  for (const ofEach of ['$SYS/brokers', '$SYS/brokers/one/uptime', '$SYS/brokers/#']) {
    assert.equal(operator.subscribe(ofEach), false)
    assert.equal(operator.receive(ofEach), false)
    assert.equal(bound(allow(['subscribe'], ['$SYS/brokers/#'])).subscribe(ofEach), true)
    assert.equal(bound(allow(['subscribe'], ['$SYS/+/#', '$SYS/#', '#'])).subscribe(ofEach), false)
  }
  const device = bound(allow(['subscribe', 'receive'], ['#', '+/#', '+/broker/#']))
  assert.equal(device.subscribe('$SYS/broker/uptime'), false)
  assert.equal(device.receive('$SYS/broker/uptime'), false)
})

test('events are open if a policy names them, to subscribers alone', () => {
  const backend = bound(
    allow(
      ['publish', 'will', 'retain', 'subscribe', 'receive'],
      ['$rollcall/events/refused/+', '$rollcall/events/#'],
    ),
  )
  assert.equal(backend.subscribe('$rollcall/events/#'), true)
  assert.equal(backend.subscribe('$share/workers/$rollcall/events/refused/+'), true)
  assert.equal(backend.receive('$rollcall/events/connected/pump-1'), true)
  for (const topic of ['$rollcall/events/connected/pump-1', '$rollcall/events', '$rollcall/x']) {
    assert.equal(backend.publish(topic, 0, false), false)
    assert.equal(backend.will(topic, 0, false), false)
  }
  for (const topics of [
    ['#'],
    ['+/#'],
    ['+/events/#'],
    ['$rollcall/#'],
    ['$rollcall/+/#'],
    ['$SYS/broker/#'],
  ]) {
    const device = bound(allow(['subscribe', 'receive'], topics))
    assert.equal(device.subscribe('$rollcall/events/#'), false, topics.join(' '))
    assert.equal(device.subscribe('$rollcall/#'), false, topics.join(' '))
  }
  assert.equal(bound(allow(['subscribe'], ['$rollcall/events/#'])).subscribe('$SYS/broker/uptime'), false)
})

test('a shared subscription is judged as the filter that it shares', () => {
  const rights = bound(allow(['subscribe'], ['a/#']), deny(['subscribe'], ['a/secret/#']))
  assert.equal(rights.subscribe('$share/g/a/x'), true)
  for (const filter of [
    '$share/g/b',
    '$share/g/a/secret/x',
    '$share/a/x',
    '$share/+/a/x',
    '$share//a/x',
    '$share/g/',
  ])
    assert.equal(rights.subscribe(filter), false, filter)
})

test('a value that is missing or unsafe voids an allow and makes a deny refuse all', () => {
  for (const value of [undefined, '', 'a/b', '+', '#', 'x+', '$SYS', 'a\0']) {
    const given = new Map(value === undefined ? [] : [['device.attr.site', value]])
    const topics = [`sites/\${device.attr.site}/#`]
    const rights = bindRights(
      [policy(allow(['publish', 'subscribe'], topics), allow(['publish'], ['open']))],
      given,
    )
    assert.equal(rights?.publish('open', 0, false), true)
    for (const topic of ['sites/', 'sites/x', 'sites/a/b', `sites/${value}`, '$SYS/x']) {
      assert.equal(rights?.publish(topic, 0, false), false, `${JSON.stringify(value)} opened ${topic}`)
    }
    assert.equal(bindRights([policy(deny(['publish'], topics))], given), null)
  }
})

test('no value of a variable opens a topic outside the level it stands in', () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ maxLength: 12 }), (value, topic) => {
      const rights = bindRights(
        [policy(allow(['publish', 'subscribe'], [`own/\${device.attr.site}/x`]))],
        new Map([['device.attr.site', value]]),
      )
      if (rights?.publish(topic, 0, false)) assert.equal(topic, `own/${value}/x`)
      assert.equal(rights?.subscribe('own/+/x'), false)
      assert.equal(rights?.subscribe('own/#'), false)
    }),
  )
})
