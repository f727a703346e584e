// Which addresses the limits before the handshake take for one peer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addressPrefix } from '../../../../broker/gate/limits/address-prefix.ts'

const rows: [address: string, prefix: string][] = [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:c000:0201', '192.0.2.1'],
  ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
  ['::', '0:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::192.0.2.1', '0:0:0:0::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:0DB8:0:1:ffff:ffff:ffff:ffff', '2001:db8:0:1::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['1::', '1:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['unknown', 'unknown'],
  ['', ''],
]
for (const [address, prefix] of rows)
  test(`${address || 'nothing'} is counted as ${prefix || 'nothing'}`, () =>
    assert.equal(addressPrefix(address), prefix))

test('two IPv6 addresses share a prefix exactly where their first 64 bits are the same', () => {
  const group = fc.constantFrom('0', '1', 'db8', 'fffe', '0a')
  const groups = fc.tuple(group, group, group, group, group, group, group, group)
  fc.assert(
    fc.property(groups, groups, (one, other) => {
      const same = one.slice(0, 4).every((part, at) => Number(`0x${part}`) === Number(`0x${other[at]}`))
      assert.equal(addressPrefix(one.join(':')) === addressPrefix(other.join(':')), same)
    }),
  )
})
