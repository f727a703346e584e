// What devices leave behind is worth no more than their right, without sockets.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Principal } from '../../../../broker/mqtt/rights-resolver.ts'
import { createStoredStateAuthorization } from '../../../../broker/mqtt/session/stored-state-authorization.ts'
import { noRights, type Rights } from '../../../../policy/rights.ts'

const principal = (deviceId: string): Principal => ({ deviceId, issuerId: null, serialNumber: '1' })
const message = (publisher: string | null = null) => ({ topic: 't', qos: 1 as const, publisher })

function world() {
  const rights = new Map<string, Rights>()
  const asked: string[] = []
  const judged: string[] = []
  const left: { principal: Principal; keepsSession: boolean }[] = []
  const gone = new Set<string>()
  const storedState = createStoredStateAuthorization({
    rightsOf({ deviceId }) {
      asked.push(deviceId)
      return rights.get(deviceId) ?? noRights
    },
    keepOnly: deviceId => void judged.push(deviceId),
    record: { load() {}, takeIn() {}, of: () => null, all: () => left, keep() {}, leaves() {}, forget() {} },
    isGone: deviceId => gone.has(deviceId),
  })
  const allow = (id: string, action: 'publish' | 'will') =>
    rights.set(id, { ...noRights, [action]: () => true })
  return { storedState, rights, asked, judged, left, gone, allow }
}

test('a retained message is shown while its publisher may publish or will it', () => {
  const { storedState, rights, allow } = world()
  assert.equal(storedState.mayShow(message()), true, 'the broker’s own')
  assert.equal(storedState.mayShow(message('d1')), false, 'nobody vouches for it')
  storedState.retains(principal('d1'), false)
  for (const action of ['publish', 'will'] as const) {
    allow('d1', action)
    storedState.rightsChanged('d1', true)
    assert.equal(storedState.mayShow(message('d1')), true)
  }
  rights.delete('d1')
  storedState.allRightsChanged()
  assert.equal(storedState.mayShow(message('d1')), false)
  allow('d1', 'publish')
  assert.equal(
    storedState.mayShow(message('d1')),
    true,
    'no rights are not remembered: the registry may be in doubt',
  )
  storedState.forget('d1')
  assert.equal(storedState.mayShow(message('d1')), false)
})

test('rights of a publisher are looked up once between two changes', () => {
  const { storedState, asked, allow } = world()
  allow('d1', 'publish')
  storedState.retains(principal('d1'), false)
  for (let time = 0; time < 5; time += 1) storedState.mayShow(message('d1'))
  assert.equal(asked.length, 1)
  storedState.rightsChanged('d2', true)
  storedState.mayShow(message('d1'))
  assert.equal(asked.length, 1)
  storedState.allRightsChanged()
  storedState.mayShow(message('d1'))
  assert.equal(asked.length, 2)
})

test('stored sessions are judged where their device is away, and only those that a change concerns', () => {
  const { storedState, judged } = world()
  for (const id of ['d1', 'd2', 'here', 'clean']) storedState.keepsSession(principal(id))
  storedState.leavesNothing('clean')
  storedState.rightsChanged('d1', false)
  assert.deepEqual(judged, ['d1'])
  storedState.rightsChanged('here', true)
  assert.deepEqual(judged, ['d1'])
  assert.deepEqual(storedState.allRightsChanged(), ['d1', 'd2', 'here'])
  storedState.forget('d1')
  storedState.rightsChanged('d1', false)
  assert.equal(judged.length, 1)
})

test('what an earlier life left is worth no more than what its device is worth now', () => {
  const { storedState, left, gone, judged, allow } = world()
  left.push(
    { principal: principal('d1'), keepsSession: true },
    { principal: principal('d2'), keepsSession: false },
  )
  for (const id of ['d1', 'd2']) allow(id, 'publish')
  gone.add('d2')
  storedState.restore()
  assert.equal(storedState.mayShow(message('d1')), true)
  assert.equal(storedState.mayShow(message('d2')), false, 'decommissioned while the broker was down')
  storedState.rightsChanged('d1', false)
  storedState.rightsChanged('d2', false)
  assert.deepEqual(judged, ['d1'])
  gone.clear()
  assert.equal(storedState.mayShow(message('d2')), true, 'asked again')
})
