// How a delivery is signed, as Standard Webhooks has it: https://www.standardwebhooks.com. Pure.
import { createHmac } from 'node:crypto'

type Signed = { id: string; timestamp: number; body: string }

/** The headers of a delivery; `timestamp` in seconds. The secret is `whsec_` and base64. */
export function signatureHeaders(secret: string, { id, timestamp, body }: Signed): Record<string, string> {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': `v1,${signature}`,
  }
}
