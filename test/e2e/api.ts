// The HTTP API as a test asks it: one call, one answer with its headers, nothing retried and nothing thrown for a refusal.
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Answer = { status: number; headers: Record<string, string | undefined>; body: any }

export type Api = {
  /** Rejects where no answer came. */
  call(method: string, path: string, body?: unknown, more?: Record<string, string>): Promise<Answer>
  /** All items of a list, page by page. */
  list<Item>(path: string): Promise<Item[]>
  close(): void
}

const ANSWER_DEADLINE_MS = 60_000

/** `unverified` is for a service whose clock is not ours: its certificate cannot be judged from here. */
export function openApi(url: string, data: string, { unverified = false } = {}): Api {
  const agent = new Agent({
    ca: readFileSync(join(data, 'ca.crt')),
    keepAlive: true,
    rejectUnauthorized: !unverified,
  })
  const authorization = `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}`

  const call: Api['call'] = (method, path, body, more = {}) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body)
      const outgoing = request(new URL(path, url), {
        method,
        agent,
        signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
        headers: {
          authorization,
          ...more,
          ...(text === ''
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
      })
      outgoing.on('error', reject)
      outgoing.on('response', response => {
        const chunks: Buffer[] = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const received = Buffer.concat(chunks).toString('utf8')
          const headers = response.headers as Record<string, string | undefined>
          resolve({ status: response.statusCode ?? 0, headers, body: parsed(received) })
        })
      })
      outgoing.end(text)
    })

  return {
    call,
    async list<Item>(path: string) {
      const items: Item[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const from: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
        const { status, body } = await call('GET', `${path}${path.includes('?') ? '&' : '?'}limit=500${from}`)
        if (status !== 200) throw new Error(`${path} answered ${status}`)
        items.push(...(body.items as Item[]))
        cursor = body.nextCursor
      }
      return items
    },
    close: () => agent.destroy(),
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
