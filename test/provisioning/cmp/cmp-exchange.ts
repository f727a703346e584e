// One message of a test to a service, and its answer or refusal.
import assert from 'node:assert/strict'
import { failureBits } from '../../../provisioning/cmp/cmp-problems.ts'
import { bodyTypes } from '../../../provisioning/cmp/message-reader.ts'
import { sequence } from '../../../provisioning/x509/der.ts'
import { ask } from '../device-requests.ts'
import type { Service } from '../harness.ts'
import * as cmp from './cmp-messages.ts'

/** A body that asks for a certificate, for a new key where nothing else is given. */
export const ir = (request = cmp.certificateRequest({})) => ({ type: bodyTypes.ir, der: sequence(request) })

/** The answer, which is CMP whatever it says. */
export async function send(
  service: Service,
  der: Buffer,
  type = 'application/pkixcmp',
): Promise<cmp.CmpReply> {
  const answer = await ask(service, null, 'POST', '/.well-known/cmp', der, { 'content-type': type })
  assert.deepEqual([answer.status, answer.type], [200, 'application/pkixcmp'], answer.bytes.toString())
  return cmp.replyOf(answer.bytes)
}

export async function assertRefused(
  service: Service,
  der: Buffer,
  failure: keyof typeof failureBits,
  text: RegExp,
): Promise<cmp.CmpReply> {
  const reply = await send(service, der)
  assert.equal(reply.bodyType, bodyTypes.error, `${failure} ${text}`)
  assert.match(reply.text, text)
  assert.equal(reply.failure, failureBits[failure], reply.text)
  return reply
}

/** A token as a client of CMP takes it. */
export async function tokenFor(service: Service, order: object = { group: 'g' }) {
  const { body } = await service.call('POST', '/v1/enrollment-tokens', { ...order, cmp: true })
  return body.cmp as { reference: string; secret: string }
}
