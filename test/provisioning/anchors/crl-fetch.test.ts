// Where a CRL is fetched from, and where not: bounded in every way, and never from an address that is not everybody's.
import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { fetchCrl } from '../../../provisioning/anchors/crl-fetch.ts'
import { OutboundFault, validateUrl } from '../../../provisioning/outbound/address-guard.ts'
import { type Answer, assertProblem, startService } from '../harness.ts'
import { makeCrlAuthority } from './crl-authority.ts'

const limits = { privateAddresses: true, bytesMax: 1_000, timeoutMs: 10_000, redirectsMax: 2 }

async function serving(listener: RequestListener) {
  const server = createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/ca.crl`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

const switchesProtocols: RequestListener = ({ socket }) =>
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')

const faultOf = async (url: string, more = {}) => {
  const outcome = await fetchCrl(url, { ...limits, ...more }).catch((error: unknown) => error)
  assert.ok(outcome instanceof OutboundFault, `${url}: ${outcome}`)
  return outcome
}

test('only http and https URLs of public addresses are asked', () => {
  const never = [
    ...[
      '',
      'ca.crl',
      'file:///etc/passwd',
      'ftp://example.net/',
      'data:,x',
      'ldap://example.net/',
      'http://',
    ],
    ...['http://user@example.net/', 'http://user:word@example.net/'],
  ]
  for (const url of never)
    for (const privateAddresses of [true, false])
      assert.throws(() => validateUrl(url, { privateAddresses }), OutboundFault, url)
  const addresses = [
    ...[
      '127.0.0.1',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0177.0.0.1',
      '0.0.0.0',
      '10.1.2.3',
      '172.16.0.1',
      '172.31.255.255',
    ],
    ...[
      '192.168.1.1',
      '169.254.169.254',
      '100.64.0.1',
      '192.0.0.1',
      '198.18.0.1',
      '224.0.0.1',
      '255.255.255.255',
    ],
    ...[
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[fe80::1]',
      '[fc00::1]',
      '[fd12::1]',
      '[ff02::1]',
    ],
    ...['[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[2001::1]', '[2001:db8::1]', '[::127.0.0.1]'],
  ]
  for (const address of addresses) {
    assert.throws(
      () => validateUrl(`http://${address}/x`, { privateAddresses: false }),
      /no public address/,
      address,
    )
    validateUrl(`http://${address}/x`, { privateAddresses: true })
  }
  for (const address of ['93.184.216.34', '172.32.0.1', '[2606:2800:220:1::1]'])
    assert.equal(validateUrl(`https://${address}/x`, { privateAddresses: false }).protocol, 'https:')
})

test('a name is judged by what it resolves to, and a redirect like any other URL', async () => {
  assert.match(
    (await faultOf('http://localhost:9/', { privateAddresses: false })).message,
    /localhost leads to .*no public/,
  )
  // A label of 64 octets is no name: nobody is asked about it, however slow the name servers are.
  assert.match((await faultOf(`http://${'x'.repeat(64)}.invalid/`)).message, /cannot be resolved/)
  await using inside = await serving((_request, response) => response.end('secret'))
  await using outside = await serving((_request, response) =>
    response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  )
  assert.match((await faultOf(outside.url)).message, /no http or https URL/)
  await using back = await serving((_request, response) =>
    response.writeHead(301, { location: inside.url }).end(),
  )
  assert.equal((await fetchCrl(back.url, limits)).toString(), 'secret')
  await using round = await serving((_request, response) =>
    response.writeHead(307, { location: '/ca.crl' }).end(),
  )
  assert.match((await faultOf(round.url)).message, /more than 2 times/)
  await using astray = await serving((_request, response) =>
    response.writeHead(302, { location: 'http://[' }).end(),
  )
  assert.match((await faultOf(astray.url)).message, /no http or https URL/)
})

test('time and size are bounded, and an answer that is none is told', async () => {
  const rows: [RequestListener, RegExp][] = [
    [() => {}, /did not answer within 0.5 s/],
    [(_request, response) => void response.writeHead(200).write('x'), /did not answer within 0.5 s/],
    [(_request, response) => response.end(Buffer.alloc(1_001)), /longer than 1000 bytes/],
    [(_request, response) => response.writeHead(404).end(), /answers 404/],
    [(_request, response) => response.writeHead(204).end(), /answers 204/],
    [(_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'), /compressed/],
    [request => request.socket.destroy(), /cannot be reached/],
    [switchesProtocols, /closed without an answer/],
    [
      (_request, response) => response.writeHead(200, { 'x-long': 'x'.repeat(20_000) }).end(),
      /cannot be reached/,
    ],
  ]
  for (const [listener, words] of rows) {
    await using server = await serving(listener)
    const late = String(words).includes('within') ? { timeoutMs: 500 } : {}
    assert.match((await faultOf(server.url, late)).message, words)
  }
  assert.match((await faultOf('http://127.0.0.1:1/')).message, /ECONNREFUSED/)
})

test('a source is refused where it may not be asked, and asked by itself where it may', async () => {
  using pki = makeCrlAuthority()
  let served: Buffer | null = pki.crl({ AB: '' })
  await using source = await serving((_request, response) =>
    served === null ? response.writeHead(503).end() : response.end(served),
  )
  await using strict = await startService()
  const added = await strict.call('POST', '/v1/issuers', { certificate: pki.ca.certificate })
  const path = `/v1/issuers/${added.body.id}/crl`
  assertProblem(await strict.call('PUT', `${path}/source`, { url: source.url }), 400, 'crl_source_refused')
  assertProblem(await strict.call('POST', `${path}/refresh`), 400, 'crl_source_refused')
  // The name alone tells nothing: it is refused when it is asked.
  const named = source.url.replace('127.0.0.1', 'localhost')
  assert.equal((await strict.call('PUT', `${path}/source`, { url: named })).status, 200)
  assertProblem(await strict.call('POST', `${path}/refresh`), 400, 'crl_source_refused')

  let now = Date.now()
  await using service = await startService({ crlPrivateAddresses: true, crlLookMs: 20, now: () => now })
  await service.call('POST', '/v1/issuers', { certificate: pki.ca.certificate })
  assert.equal((await service.call('PUT', `${path}/source`, { url: source.url })).body.source.url, source.url)
  const standing = async () => (await service.call('GET', path)).body
  const until = async (holds: (standing: Answer['body']) => boolean) => {
    for (const deadline = performance.now() + 20_000; !holds(await standing()); )
      assert.ok(performance.now() < deadline, JSON.stringify(await standing()))
  }
  await until(({ crl, source }) => crl?.number === '1000' && source.checkedAt !== null)
  served = null
  now += 2 * 86_400_000
  await until(({ source: { error }, crl }) => error === 'it answers 503' && crl.number === '1000')
  assertProblem(await service.call('POST', `${path}/refresh`), 502, 'crl_unreachable')
  served = pki.crl({ AB: '', AC: '' })
  now += 5 * 60_000
  await until(({ source: { error }, crl }) => error === null && crl.number === '1001')
  assert.equal((await service.call('PUT', `${path}/source`, { url: null })).body.source.url, null)
})
