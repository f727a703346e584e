// A caller beyond its rate waits for each refusal: answered at once, its connections would ask again as fast as the service can refuse, which
// costs others as much as if they were served.
import { setTimeout } from 'node:timers/promises'
import type { Api } from '../http/api.ts'

const TOO_MANY_REQUESTS = 429
export const REFUSAL_DELAY_MS = 500

export function slowRefusals(api: Api): void {
  api.addHook('onSend', async (_request, reply, payload) => {
    if (reply.statusCode === TOO_MANY_REQUESTS) await setTimeout(REFUSAL_DELAY_MS)
    return payload
  })
}
