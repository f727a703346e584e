// A receiver of webhooks: a real HTTP server that checks each signature by hand and answers as the test says.
import { createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Taken = {
  id: string
  signed: boolean
  type: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into messages of every shape
  data: any
  headers: IncomingMessage['headers']
  text: string
}

export async function startReceiver(answer: (taken: Taken, response: ServerResponse) => void) {
  const taken: Taken[] = []
  const keys = { secret: '' }
  const server = createServer(async (request, response) => {
    let text = ''
    try {
      for await (const part of request.setEncoding('utf8')) text += part
    } catch {
      return // the sender was killed
    }
    const { headers } = request
    const id = String(headers['webhook-id'])
    const key = Buffer.from(keys.secret.replace('whsec_', ''), 'base64')
    const expected = createHmac('sha256', key).update(`${id}.${headers['webhook-timestamp']}.${text}`)
    const signed = headers['webhook-signature'] === `v1,${expected.digest('base64')}`
    const { type, data } = JSON.parse(text)
    const one = { id, signed, type, data, headers, text }
    taken.push(one)
    answer(one, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    taken,
    keys,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
