// One delivery: a POST to a URL that may be asked, with a deadline. What is answered is looked at for its status alone.
import { type IncomingMessage, Agent as PlainAgent, request as requestHttp } from 'node:http'
import { Agent, request as requestHttps } from 'node:https'
import type { SigningWebhook } from '../../db/webhooks/webhook-store.ts'
import { guardedLookup, OutboundFault, type Reachable, validateUrl } from '../outbound/address-guard.ts'
import { answerTo } from '../outbound/answer.ts'
import { signatureHeaders } from './signature.ts'

/** What came of it, in words for an operator: never what the other side said. */
export type Outcome = { delivered: boolean; status: number | null; why: string | null }
type Message = { id: string; type: string; at: number; data: unknown }

export type Sender = {
  deliver(webhook: Pick<SigningWebhook, 'url' | 'secret'>, message: Message): Promise<Outcome>
  close(): void
}

/** More than all webhooks deliver at once (50, each 8), so that none waits for the receivers of others; tests by operators are beside them. */
const SOCKETS_MAX = 512

/** Plain HTTP is for receivers on private addresses alone: others would read and change what is sent. Throws an `OutboundFault`. */
export function validateWebhookUrl(text: string, reachable: Reachable): URL {
  const url = validateUrl(text, reachable)
  if (url.protocol === 'https:' || reachable.privateAddresses) return url
  throw new OutboundFault('a webhook is sent over https', true)
}

export function createSender(parts: { reachable: Reachable; timeoutMs: number; now: () => number }): Sender {
  const { reachable } = parts
  const stopping = new AbortController()
  const kept = {
    keepAlive: true,
    maxSockets: SOCKETS_MAX,
    maxTotalSockets: SOCKETS_MAX,
    timeout: parts.timeoutMs,
  }
  const agents = { 'http:': new PlainAgent(kept), 'https:': new Agent(kept) }
  const lookup = guardedLookup(reachable)

  return {
    async deliver({ url: text, secret }, { id, type, at, data }) {
      const body = JSON.stringify({ type, timestamp: new Date(at).toISOString(), data })
      const signal = AbortSignal.any([AbortSignal.timeout(parts.timeoutMs), stopping.signal])
      try {
        const url = validateWebhookUrl(text, reachable)
        const timestamp = Math.floor(parts.now() / 1000)
        const isPlain = url.protocol === 'http:'
        const outgoing = (isPlain ? requestHttp : requestHttps)(url, {
          method: 'POST',
          signal,
          lookup,
          agent: agents[isPlain ? 'http:' : 'https:'],
          maxHeaderSize: 16 * 1024,
          headers: {
            ...signatureHeaders(secret, { id, timestamp, body }),
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
            'user-agent': 'rollcall',
          },
        })
        outgoing.end(body)
        return outcomeOf(await answerTo(outgoing))
      } catch (error) {
        return { delivered: false, status: null, why: inWords(error, signal, parts.timeoutMs) }
      }
    },
    close() {
      stopping.abort()
      for (const agent of Object.values(agents)) agent.destroy()
    },
  }
}

const ANSWER_BYTES_MAX = 64 * 1024

/** The body is let pass, as far as it is short; redirects are an answer like any other. */
function outcomeOf(answer: IncomingMessage): Outcome {
  const { statusCode: status = 0 } = answer
  let bytes = 0
  answer.on('error', () => {})
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) answer.destroy()
  })
  const delivered = status >= 200 && status < 300
  const redirects = status >= 300 && status < 400
  const why = redirects ? `it answered ${status}: redirects are not followed` : `it answered ${status}`
  return { delivered, status, why: delivered ? null : why }
}

function inWords(error: unknown, signal: AbortSignal, timeoutMs: number): string {
  if (error instanceof OutboundFault) return error.message
  if (signal.aborted) return `it did not answer within ${timeoutMs / 1000} s`
  const { code, message } = error as NodeJS.ErrnoException
  return `it cannot be reached (${code ?? message})`
}
