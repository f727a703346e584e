// The client against services that behave badly in every way a network allows.
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { createServer as createPlainServer } from 'node:net'
import { before, describe, it } from 'node:test'
import { ApiProblem, ApiUnreachable, createClient } from '../../client/index.ts'
import { type Authority, createAuthority, type Identity } from '../harness/authority.ts'

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

describe('the client', () => {
  let authority: Authority
  let identity: Identity
  before(async () => {
    authority = await createAuthority()
    identity = await authority.issue({ name: 'localhost', usages: ['1.3.6.1.5.5.7.3.1'] })
  })

  /** A client of a service that answers as told. The name is not what these tests are about. */
  async function world(handler: Handler, { ca = authority.certificate, timeoutMs = 30_000 } = {}) {
    const server = createServer({ key: identity.key, cert: identity.certificate }, (request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', text => {
        body += text
      })
      request.on('end', () => handler(request, response, body))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const client = createClient({ api: `https://localhost:${port}`, token: 'secret', ca, timeoutMs })
    return {
      client,
      async [Symbol.asyncDispose]() {
        client.close()
        server.closeAllConnections()
        await new Promise(resolve => server.close(resolve))
      },
    }
  }

  it('sends the token and a JSON body, and escapes what stands in a path', async () => {
    const seen: unknown[] = []
    await using at = await world((request, response, body) => {
      seen.push([request.method, request.url, request.headers.authorization, body])
      response.end('{}')
    })
    await at.client.devices.enroll('../a b', { csr: 'pem', days: 7 })
    await at.client.certificates.revoke('ff')
    assert.deepEqual(seen, [
      ['POST', '/v1/devices/..%2Fa%20b/certificates', 'Bearer secret', '{"csr":"pem","days":7}'],
      ['POST', '/v1/certificates/ff/revoke', 'Bearer secret', '{}'],
    ])
  })

  it('walks a list page by page until there is no cursor', async () => {
    const asked: (string | undefined)[] = []
    await using at = await world((request, response) => {
      asked.push(request.url)
      const last = request.url?.includes('cursor=next')
      response.end(JSON.stringify({ items: last ? [3] : [1, 2], nextCursor: last ? null : 'next' }))
    })
    const pages: unknown[] = []
    for await (const page of at.client.devices.pages({ limit: 2, group: 'a&b' })) pages.push(page)
    assert.deepEqual(pages, [[1, 2], [3]])
    assert.deepEqual(asked, [
      '/v1/devices?limit=2&group=a%26b',
      '/v1/devices?limit=2&group=a%26b&cursor=next',
    ])
  })

  it('turns a problem document into an error with everything in it', async () => {
    await using at = await world((_, response) => {
      response.writeHead(409, { 'content-type': 'application/problem+json' })
      response.end(
        JSON.stringify({
          status: 409,
          title: 'Exists',
          detail: 'it is there',
          reason: 'device_exists',
          hint: 'take another',
          requestId: 'r1',
          errors: [{ path: 'body.id', message: 'taken' }, 7],
        }),
      )
    })
    await assert.rejects(at.client.devices.add({ id: 'x' }), (error: unknown) => {
      assert.ok(error instanceof ApiProblem)
      const { status, reason, message, detail, hint, requestId, findings } = error
      assert.deepEqual(
        [status, reason, message, detail, hint, requestId, findings],
        [
          409,
          'device_exists',
          'it is there',
          'it is there',
          'take another',
          'r1',
          [{ path: 'body.id', message: 'taken' }],
        ],
      )
      return true
    })
  })

  it('is not led astray by an answer that is no document', async () => {
    const answers = ['', '<html>', 'null', '"text"', '[]']
    for (const answer of answers) {
      await using at = await world((_, response) => response.writeHead(502).end(answer))
      await assert.rejects(
        at.client.whoami(),
        error => error instanceof ApiProblem && error.status === 502,
        answer,
      )
    }
    await using at = await world((_, response) => response.end('not json'))
    await assert.rejects(at.client.whoami(), error => error instanceof ApiProblem && error.status === 200)
  })

  it('gives up on a service that never answers, or never stops answering', async () => {
    await using mute = await world(() => {}, { timeoutMs: 100 })
    await assert.rejects(mute.client.whoami(), unreachable('TimeoutError', /did not answer in time/))
    await using slow = await world((_, response) => void response.write('{'), { timeoutMs: 100 })
    await assert.rejects(slow.client.whoami(), unreachable('TimeoutError', /did not answer in time/))
    await using switching = await world(
      ({ socket }) =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
      { timeoutMs: 60_000 },
    )
    await assert.rejects(switching.client.whoami(), unreachable('ECONNRESET', /closed without an answer/))
    await assert.rejects(switching.client.export({}), unreachable('ECONNRESET', /closed without/))
    const block = 'x'.repeat(1024 * 1024)
    await using endless = await world((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(block));
      }
      response.on('drain', more).on('error', () => {})
      more()
    })
    await assert.rejects(endless.client.whoami(), /longer than 16777216 bytes/)
  })

  it('sends no token to a service whose certificate is of another CA', async () => {
    let asked = 0
    const other = await createAuthority('Other')
    await using at = await world(
      (_, response) => {
        asked++
        response.end('{}')
      },
      { ca: other.certificate },
    )
    await assert.rejects(
      at.client.whoami(),
      error => error instanceof ApiUnreachable && /another CA/.test(error.message),
    )
    assert.equal(asked, 0)
  })

  it('tells what is wrong where nothing listens, or something else does', async () => {
    const closed = createClient({ api: 'https://127.0.0.1:1', token: 't', ca: authority.certificate })
    await assert.rejects(closed.whoami(), unreachable('ECONNREFUSED', /refuses connections/))
    const plain = createPlainServer(socket =>
      socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    )
    await new Promise<void>(resolve => plain.listen(0, '127.0.0.1', resolve))
    const { port } = plain.address() as { port: number }
    const wrong = createClient({ api: `https://127.0.0.1:${port}`, token: 't', ca: authority.certificate })
    await assert.rejects(wrong.whoami(), error => error instanceof ApiUnreachable && error.hint !== '')
    plain.close()
    assert.throws(() => createClient({ api: 'http://127.0.0.1:1', token: 't', ca: '' }), /https only/)
  })
})

function unreachable(code: string, message: RegExp) {
  return (error: unknown) =>
    error instanceof ApiUnreachable && error.code === code && message.test(error.message)
}
