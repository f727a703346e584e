// The header of a load balancer, octet by octet (PROXY protocol, version 2).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseProxyHeader } from '../../../../broker/gate/transport/proxy-header.ts'
import { trustedBalancers } from '../../../../broker/settings/trusted-balancers.ts'
import { proxyHeader } from '../../../harness/proxy-header.ts'

test('names the address that a connection came from, of IPv4 and IPv6, and nothing for the balancer itself', () => {
  for (const [from, seen] of [
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8::7', '2001:db8::7'],
    ['2001:0db8:0:0:0:0:0:7', '2001:db8::7'],
    [null, null],
  ] as const) {
    const header = proxyHeader(from)
    assert.deepEqual(parseProxyHeader(header), { verdict: 'read', bytes: header.length, address: seen })
  }
})

test('reads past what it does not know, and leaves what follows', () => {
  const header = proxyHeader('192.0.2.7', Buffer.from('0200036162 63'.replace(' ', ''), 'hex'))
  const bytes = Buffer.concat([header, Buffer.from('the handshake')])
  assert.deepEqual(parseProxyHeader(bytes), { verdict: 'read', bytes: header.length, address: '192.0.2.7' })
})

test('waits for the rest of a header and for nothing else, however it is cut', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.nat(), (address, at) => {
      const header = proxyHeader(address)
      const part = header.subarray(0, at % header.length)
      assert.equal(parseProxyHeader(part).verdict, 'incomplete')
    }),
  )
})

test('refuses what is no header', () => {
  const good = proxyHeader('192.0.2.7')
  const changed = (offset: number, value: number) => {
    const bytes = Buffer.from(good)
    bytes[offset] = value
    return bytes
  }
  const bad: Record<string, Buffer> = {
    'version 1': Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n'),
    'a ClientHello': Buffer.from('16030100ff', 'hex'),
    'another version': changed(12, 0x31),
    'another command': changed(12, 0x2f),
    UDP: changed(13, 0x12),
    'a Unix socket': changed(13, 0x31),
    'a rest too short for its addresses': Buffer.concat([changed(15, 4).subarray(0, 16), Buffer.alloc(4)]),
    'a rest that no balancer sends': changed(14, 0x7f),
  }
  for (const [what, bytes] of Object.entries(bad))
    assert.equal(parseProxyHeader(bytes).verdict, 'refused', what)
})

test('whatever comes, it never takes more than it was given', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), tail => {
      const bytes = Buffer.concat([proxyHeader('192.0.2.7').subarray(0, 14), Buffer.from(tail)])
      const header = parseProxyHeader(bytes)
      if (header.verdict === 'read') assert.ok(header.bytes <= bytes.length)
    }),
  )
})

test('trusts the addresses and networks it was given, and no other', () => {
  const trusts = trustedBalancers('10.0.0.0/8, 192.0.2.7,2001:db8::/32')
  for (const address of ['10.255.0.1', '192.0.2.7', '2001:db8::1'])
    assert.equal(trusts(address), true, address)
  for (const address of ['11.0.0.1', '192.0.2.8', '2001:db9::1', 'unknown', ''])
    assert.equal(trusts(address), false, address)
  assert.equal(trustedBalancers('')('10.0.0.1'), false)
  for (const wrong of ['example.net', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/0', '::/129', '1.2.3.4/8/8'])
    assert.throws(() => trustedBalancers(wrong), /is no address/, wrong)
})
