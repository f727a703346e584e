// Requests of devices: each on a connection of its own, with a client certificate or without, in any media type.
import { Agent, request } from 'node:https'
import type { Service } from './harness.ts'

export type Identity = { certificate: string; key: string }
export type Answer = {
  status: number
  type: string
  bytes: Buffer
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any
  headers: NodeJS.Dict<string | string[]>
  /** Names and values as they were written. */
  rawHeaders: string[]
}

/** One request on a connection of its own. The clock of these tests is not the client's: only the chain is looked at. */
export function ask(
  service: Service,
  identity: Identity | null,
  method: string,
  path: string,
  body?: Buffer | string | object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const agent = new Agent({ ca: service.ca, keepAlive: false, rejectUnauthorized: false })
  const payload =
    body === undefined || Buffer.isBuffer(body)
      ? body
      : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  return new Promise((resolve, reject) => {
    const outgoing = request(`${service.url}${path}`, {
      method,
      agent,
      ...(identity === null ? {} : { cert: identity.certificate, key: identity.key }),
      headers: {
        ...(payload === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': payload.length }),
        ...headers,
      },
    })
    outgoing.on('error', reject)
    outgoing.on('response', async response => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      const bytes = Buffer.concat(chunks)
      const type = response.headers['content-type'] ?? ''
      const parsed = type.includes('json') ? JSON.parse(bytes.toString()) : null
      resolve({
        status: response.statusCode ?? 0,
        type,
        bytes,
        body: parsed,
        headers: response.headers,
        rawHeaders: response.rawHeaders,
      })
    })
    outgoing.end(payload)
  })
}
