// What devices leave behind is worth no more than their right, without sockets.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Holder } from '../../../broker/mqtt/rights-desk.ts'
import { createLeavings } from '../../../broker/mqtt/session/leavings.ts'
import { noRights, type Rights } from '../../../policy/rights.ts'

const holder = (deviceId: string): Holder => ({ deviceId, issuerId: null, serialNumber: '1' })
const message = (publisher: string | null = null) => ({ topic: 't', qos: 1 as const, publisher })

function world() {
  const rights = new Map<string, Rights>()
  const asked: string[] = []
  const judged: string[] = []
  const left: { holder: Holder; keepsSession: boolean }[] = []
  const gone = new Set<string>()
  const leavings = createLeavings({
    rightsOf({ deviceId }) {
      asked.push(deviceId)
      return rights.get(deviceId) ?? noRights
    },
    keepOnly: deviceId => void judged.push(deviceId),
    record: { load() {}, all: () => left, keep() {}, leaves() {}, forget() {} },
    isGone: deviceId => gone.has(deviceId),
  })
  const allow = (id: string, action: 'publish' | 'will') =>
    rights.set(id, { ...noRights, [action]: () => true })
  return { leavings, rights, asked, judged, left, gone, allow }
}

test('a retained message is shown while who published it may publish or will it', () => {
  const { leavings, rights, allow } = world()
  assert.equal(leavings.mayShow(message()), true, 'the broker’s own')
  assert.equal(leavings.mayShow(message('d1')), false, 'nobody vouches for it')
  leavings.retains(holder('d1'), false)
  for (const action of ['publish', 'will'] as const) {
    allow('d1', action)
    leavings.rightsChanged('d1', true)
    assert.equal(leavings.mayShow(message('d1')), true)
  }
  rights.delete('d1')
  leavings.allRightsChanged()
  assert.equal(leavings.mayShow(message('d1')), false)
  allow('d1', 'publish')
  assert.equal(
    leavings.mayShow(message('d1')),
    true,
    'no rights are not remembered: the registry may be in doubt',
  )
  leavings.forget('d1')
  assert.equal(leavings.mayShow(message('d1')), false)
})

test('rights of a publisher are looked up once between two changes', () => {
  const { leavings, asked, allow } = world()
  allow('d1', 'publish')
  leavings.retains(holder('d1'), false)
  for (let time = 0; time < 5; time += 1) leavings.mayShow(message('d1'))
  assert.equal(asked.length, 1)
  leavings.rightsChanged('d2', true)
  leavings.mayShow(message('d1'))
  assert.equal(asked.length, 1)
  leavings.allRightsChanged()
  leavings.mayShow(message('d1'))
  assert.equal(asked.length, 2)
})

test('stored sessions are judged where their device is away, and only those that a change concerns', () => {
  const { leavings, judged } = world()
  for (const id of ['d1', 'd2', 'here', 'clean']) leavings.keepsSession(holder(id))
  leavings.leavesNothing('clean')
  leavings.rightsChanged('d1', false)
  assert.deepEqual(judged, ['d1'])
  leavings.rightsChanged('here', true)
  assert.deepEqual(judged, ['d1'])
  assert.deepEqual(leavings.allRightsChanged(), ['d1', 'd2', 'here'])
  leavings.forget('d1')
  leavings.rightsChanged('d1', false)
  assert.equal(judged.length, 1)
})

test('what an earlier life left is worth no more than what its device is worth now', () => {
  const { leavings, left, gone, judged, allow } = world()
  left.push({ holder: holder('d1'), keepsSession: true }, { holder: holder('d2'), keepsSession: false })
  for (const id of ['d1', 'd2']) allow(id, 'publish')
  gone.add('d2')
  leavings.restore()
  assert.equal(leavings.mayShow(message('d1')), true)
  assert.equal(leavings.mayShow(message('d2')), false, 'decommissioned while the broker was down')
  leavings.rightsChanged('d1', false)
  leavings.rightsChanged('d2', false)
  assert.deepEqual(judged, ['d1'])
  gone.clear()
  assert.equal(leavings.mayShow(message('d2')), true, 'asked again')
})
