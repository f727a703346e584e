// What a CONNECT may ask for: strict binding of client ID, username and password to the device.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type ConnectRequest,
  decideConnect,
  type UsernameMode,
  usernameModes,
} from '../../admission/client-id.ts'

const plain: ConnectRequest = {
  protocolVersion: 4,
  clientId: 'd1',
  clean: true,
  username: undefined,
  hasPassword: false,
}

function outcome(request: Partial<ConnectRequest>, usernames: UsernameMode = 'ignore') {
  const decision = decideConnect({ ...plain, ...request }, 'd1', usernames)
  return decision.accepted ? decision.clientId : decision.reason
}

test('MQTT 3.1, 3.1.1 and 5 are spoken, nothing else', () => {
  assert.deepEqual(
    [3, 4, 5].map(protocolVersion => outcome({ protocolVersion })),
    ['d1', 'd1', 'd1'],
  )
  for (const protocolVersion of [0, 1, 2, 6, 131, 132])
    assert.equal(outcome({ protocolVersion }), 'protocol_unsupported')
})

test('an empty client ID is given the device ID where the session is clean', () => {
  assert.equal(outcome({ clientId: '' }), 'd1')
  assert.equal(outcome({ clientId: '', clean: false }), 'client_id_missing')
  assert.equal(outcome({ clientId: '', clean: false, protocolVersion: 5 }), 'd1')
})

test('username and password refuse nobody, unless they are judged', () => {
  const all = { username: 'anybody', hasPassword: true }
  assert.equal(outcome(all), 'd1')
  assert.equal(outcome({ username: '?SDK=PythonV2&Version=1.28.2' }), 'd1')
  assert.equal(outcome({ ...all, clientId: 'd2' }), 'client_id_mismatch', 'and let nobody be another')
})

test('strictly, a username is the device ID, and a password is refused even beside a right username', () => {
  assert.equal(outcome({ username: 'd1' }, 'strict'), 'd1')
  assert.equal(outcome({ username: 'D1' }, 'strict'), 'username_mismatch')
  assert.equal(outcome({ username: '' }, 'strict'), 'username_mismatch')
  assert.equal(outcome({ username: 'd1', hasPassword: true }, 'strict'), 'password_refused')
  assert.equal(outcome({ hasPassword: true }, 'strict'), 'password_refused')
})

test('whatever is asked, the session is the device of the certificate or there is none', () => {
  const request = fc.record({
    protocolVersion: fc.integer({ min: 0, max: 255 }),
    clientId: fc.oneof(fc.string(), fc.constantFrom('', 'd1', 'd1:2', 'D1', 'd1\0', ' d1')),
    clean: fc.boolean(),
    username: fc.option(fc.oneof(fc.string(), fc.constant('d1')), { nil: undefined }),
    hasPassword: fc.boolean(),
  })
  fc.assert(
    fc.property(request, fc.constantFrom(...usernameModes), (asked, usernames) => {
      const decision = decideConnect(asked, 'd1', usernames)
      if (!decision.accepted) return
      assert.equal(decision.clientId, 'd1')
      assert.ok(
        asked.clientId === 'd1' || (asked.clientId === '' && (asked.clean || asked.protocolVersion === 5)),
      )
      assert.ok(usernames === 'ignore' || (!asked.hasPassword && (asked.username ?? 'd1') === 'd1'))
    }),
  )
})
