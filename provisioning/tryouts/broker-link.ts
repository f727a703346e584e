// Orders of tryouts to the broker of the same data directory, by its Unix socket: one connection each, a line of JSON there, lines back.
import { connect } from 'node:net'

export type Principal = { deviceId: string; issuerId: string | null; serialNumber: string }
type Refused = { refused: 'denied' | 'invalid' | 'unavailable' }
export type Tried = { topic: string; qos: 0 | 1 | 2; isRetained: boolean; bytes: number; payload: string }

export type BrokerLink = {
  /** @throws {AnswerLost} where it may have been done, and any other error where no broker took the order */
  publish(order: {
    principal: Principal
    by: string
    topic: string
    payload: Buffer
    qos: 0 | 1 | 2
  }): Promise<Refused | { receivers: number }>
  /** Messages until the signal, or until the right ends: then the last one is why. `payload` is base64. @throws where no broker answers */
  subscribe(order: {
    principal: Principal
    filter: string
    messagesMax: number
    payloadBytesMax: number
    signal: AbortSignal
  }): AsyncGenerator<Tried | Refused>
}

/** The order was given, and what became of it is not known. */
export class AnswerLost extends Error {}

const ANSWER_MS = 10_000

export function createBrokerLink(file: string): BrokerLink {
  async function* ask<Answer>(
    order: object,
    signal: AbortSignal,
    given?: () => void,
  ): AsyncGenerator<Answer> {
    const socket = connect(file)
    const stop = () => void socket.destroy()
    signal.addEventListener('abort', stop)
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', () => resolve())
        socket.once('error', reject)
        socket.once('close', () => reject(new Error('it was stopped')))
      })
      socket.on('error', () => {})
      given?.()
      socket.write(`${JSON.stringify(order)}\n`)
      let text = ''
      for await (const piece of socket.setEncoding('utf8')) {
        const lines = (text + piece).split('\n')
        text = lines.pop() ?? ''
        for (const line of lines) yield JSON.parse(line) as Answer
      }
    } finally {
      signal.removeEventListener('abort', stop)
      socket.destroy()
    }
  }

  return {
    async publish({ payload, ...order }) {
      const signal = AbortSignal.timeout(ANSWER_MS)
      const until = Date.now() + ANSWER_MS
      const given = { do: 'publish', ...order, payload: payload.toString('base64'), until }
      let isGiven = false
      const note = () => {
        isGiven = true
      }
      try {
        for await (const answer of ask<Refused | { receivers: number }>(given, signal, note)) return answer
      } catch (cause) {
        if (!isGiven) throw cause
      }
      throw new AnswerLost('the broker gave no answer')
    },
    subscribe: ({ signal, ...order }) => ask<Tried | Refused>({ do: 'subscribe', ...order }, signal),
  }
}
