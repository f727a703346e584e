// Answers that are on their way. `server.close()` of Node destroys each connection whose answer was handed over, though most of it may
// wait to be sent still: before a server is closed, its answers are waited for.
import type { Server, ServerResponse } from 'node:http'
import type { Server as SecureServer } from 'node:https'

export type AnswersInFlight = {
  /** Accepts no more connections. Resolves once every answer is sent or its connection is gone, after `timeoutMs` at the latest. */
  sent(timeoutMs: number): Promise<void>
}

export function trackAnswers(server: Server | SecureServer): AnswersInFlight {
  let pending = 0
  let onSent: (() => void) | null = null
  server.on('request', (_: unknown, response: ServerResponse) => {
    pending += 1
    response.once('close', () => {
      pending -= 1
      if (pending === 0) onSent?.()
    })
  })
  return {
    async sent(timeoutMs) {
      server.on('connection', socket => socket.destroy())
      if (pending === 0) return
      await new Promise<void>(resolve => {
        const overdue = setTimeout(resolve, timeoutMs)
        onSent = () => {
          clearTimeout(overdue)
          resolve()
        }
      })
    },
  }
}
