// The shared subscriptions that a node says it has members of: all to a node that is new, else what has changed, however many there are.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeControl } from '../../../broker/mqtt/cluster/control.ts'
import { createOutgoing } from '../../../broker/mqtt/cluster/outgoing.ts'
import { createSharedNodes } from '../../../broker/mqtt/cluster/shared-nodes.ts'

const ME = 7
/** Of nats-server by default. */
const PAYLOAD_BYTES_MAX = 1_048_576
const nothing = { log: [], versions: new Map() }

test('groups reach another node whole and as changes, in messages that the bus takes', () => {
  const here = new Set<string>()
  let changes = 0
  const known = new Map<string, readonly number[]>()
  const newNode = () => createSharedNodes({ setElsewhere: (asked, nodes) => void known.set(asked, nodes) })
  let other = newNode()
  let messages = 0
  const outgoing = createOutgoing({
    me: ME,
    nats: {
      isClosed: () => false,
      publish(_subject, bytes) {
        assert.ok(Buffer.isBuffer(bytes) && bytes.length < PAYLOAD_BYTES_MAX)
        const control = decodeControl(bytes)
        if (control?.kind !== 'groups') return
        messages += 1
        other.change(control.from, control)
      },
    },
    subject: 's',
    send() {},
    groupsHere: () => [...here],
    groupChanges: () => changes,
    versioned() {},
  })
  const heard = () => new Set([...known].filter(([, nodes]) => nodes.includes(ME)).map(([asked]) => asked))
  const change = (work: () => void) => {
    work()
    changes += 1
    outgoing.written(nothing)
    assert.deepEqual(heard(), here)
  }

  change(() => {
    for (let n = 0; n < 12_000; n += 1) here.add(`$share/${n}/${'a/'.repeat(100)}#`)
  })
  messages = 0
  change(() => here.add('$share/g/b'))
  change(() => here.delete('$share/g/b'))
  assert.equal(messages, 2)
  outgoing.written(nothing)
  assert.equal(messages, 2)
  known.clear()
  other = newNode()
  outgoing.announceGroups()
  assert.deepEqual(heard(), here)
  change(() => here.clear())
})
