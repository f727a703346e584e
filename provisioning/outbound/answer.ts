// The answer to a request of the service's own. Knows nothing of what is asked.
import type { ClientRequest, IncomingMessage } from 'node:http'

/**
 * Settles however the request ends. Node closes a connection that switches protocols unasked (101) and reports neither an
 * answer nor an error, and no timeout of the request holds any more.
 */
export function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((answered, failed) => {
    outgoing.once('response', answered)
    outgoing.once('error', failed)
    outgoing.once('close', () => failed(new Error('closed without an answer')))
  })
}
