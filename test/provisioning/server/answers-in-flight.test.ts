// A server that closes sends the answers that are on their way, whatever their size and however slowly they are read.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { openStatusServer } from '../../../provisioning/revocation/status-server.ts'
import { trackAnswers } from '../../../provisioning/server/answers-in-flight.ts'

/** More than the kernel takes for a socket. */
const BODY = Buffer.alloc(32 * 1024 * 1024, 'x')

/** An answer of which nothing is read yet. */
async function ask(port: number): Promise<IncomingMessage> {
  const request = get({ host: '127.0.0.1', port, agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response.pause()
}

async function sizeOf(response: IncomingMessage): Promise<number> {
  let bytes = 0
  for await (const chunk of response) bytes += (chunk as Buffer).length
  return bytes
}

const refused = (port: number) => assert.rejects(ask(port), { code: /ECONNRESET|ECONNREFUSED/ })

test('an answer that was begun is sent whole before the server closes; nobody new is let in meanwhile', async () => {
  const server = createServer((_, response) => void response.end(BODY)).listen(0, '127.0.0.1')
  const answers = trackAnswers(server)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const response = await ask(port)
  let isSent = false
  const sent = answers.sent(30_000).then(() => {
    isSent = true
  })
  await refused(port)
  assert.equal(isSent, false)
  assert.equal(await sizeOf(response), BODY.length)
  await sent
  server.close()
})

test('an answer that nobody reads is waited for no longer than was said', async () => {
  const server = createServer((_, response) => void response.end(BODY)).listen(0, '127.0.0.1')
  const answers = trackAnswers(server)
  await once(server, 'listening')
  const response = await ask((server.address() as AddressInfo).port)
  await answers.sent(100)
  server.close()
  await assert.rejects(sizeOf(response), { code: 'ECONNRESET' })
})

test('the server of revocation lists sends a long one whole before it closes', async () => {
  const server = await openStatusServer({ host: '127.0.0.1', port: 0 })
  server.serve(() => ({ status: 200, body: BODY }))
  const response = await ask(server.port)
  const closed = server.close()
  assert.equal(await sizeOf(response), BODY.length)
  await closed
})
