// PROXY protocol headers of version 2, written by hand.
import { isIPv6 } from 'node:net'

/** From this address to 192.0.2.1 or 2001:db8::1; the balancer's own connection where null. */
export function proxyHeader(from: string | null, rest = Buffer.alloc(0)): Buffer {
  const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
  if (from === null) return Buffer.concat([signature, Buffer.from([0x20, 0, 0, 0])])
  const six = isIPv6(from)
  const addresses = six
    ? Buffer.concat([ipv6(from), ipv6('2001:db8:0:0:0:0:0:1')])
    : Buffer.from([...from.split('.').map(Number), 192, 0, 2, 1])
  const body = Buffer.concat([addresses, Buffer.from([0x30, 0x39, 0x22, 0xb3]), rest])
  const length = Buffer.from([body.length >> 8, body.length & 0xff])
  return Buffer.concat([signature, Buffer.from([0x21, six ? 0x21 : 0x11]), length, body])
}

function ipv6(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::')
  const front = head.split(':').filter(Boolean)
  const back = tail.split(':').filter(Boolean)
  const groups = [...front, ...Array(8 - front.length - back.length).fill('0'), ...back]
  return Buffer.concat(groups.map(group => Buffer.from(group.padStart(4, '0'), 'hex')))
}
