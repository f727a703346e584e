// Work of an operator that outlasts a request: it ends when the operator's right does, by revocation or by time, and an operator has
// a bounded amount of it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { until } from '../../harness/until.ts'
import { type Service, startService } from '../harness.ts'
import { imported, lines, upload } from './uploads.ts'

const DAY_MS = 86_400_000

const rows = (count: number) => Array.from({ length: count }, (_, index) => ({ deviceId: `d-${index}` }))

async function operator(service: Service, name = 'thief', days?: number) {
  const { body } = await service.call('POST', '/v1/api-tokens', { name, role: 'operator', days })
  const revoke = () => service.call('POST', `/v1/api-tokens/${body.id}/revoke`)
  return { token: body.token as string, revoke }
}
const uploadAs = (service: Service, token: string, body: string) =>
  service.call('POST', '/v1/jobs', undefined, {
    token,
    raw: body,
    headers: { 'content-type': 'application/x-ndjson' },
  })
const jobOf = async (service: Service, id: string) => (await service.call('GET', `/v1/jobs/${id}`)).body
const ended = (service: Service, id: string) =>
  until(async () => !['waiting', 'running'].includes((await jobOf(service, id)).state))

/** A request with a body that does not end, or an answer that is not read. */
function begin(service: Service, token: string, method: string, path: string): ClientRequest {
  const headers = {
    authorization: `Bearer ${token}`,
    ...(method === 'POST' && { 'content-type': 'application/x-ndjson' }),
  }
  return request(`${service.url}${path}`, { method, headers, ca: service.ca, agent: false })
}
async function answerTo(outgoing: ClientRequest): Promise<{ status: number; text: string }> {
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  let text = ''
  for await (const part of response.setEncoding('utf8')) text += part
  return { status: response.statusCode ?? 0, text }
}

test('an import ends with the token of its operator, and leaves the rows that it had not begun', async () => {
  await using service = await startService()
  const { token, revoke } = await operator(service)
  const running = await uploadAs(service, token, lines(rows(20_000)))
  const waiting = await uploadAs(service, token, lines([{ deviceId: 'later' }]))
  assert.equal((await revoke()).status, 200)
  for (const { body } of [running, waiting]) {
    const job = await jobOf(service, body.id)
    assert.equal(job.state, 'cancelled')
    assert.match(job.error, /the credential of thief was revoked/)
  }
  // The next job has its turn once the runner has let go of the one before.
  await imported(service, [{ deviceId: 'another' }])
  assert.equal((await service.call('GET', '/v1/devices/d-19999')).status, 404)
  assert.equal((await service.call('GET', '/v1/devices/later')).status, 404)
  const { items } = (await service.call('GET', '/v1/audit?action=token.revoke')).body
  assert.deepEqual(items[0].detail, { name: 'thief', jobs: 2 })
})

test('an import does not outlast the time of its operator, and is uploaded again by another', async () => {
  let at = Date.now()
  await using service = await startService({ now: () => at })
  const { token } = await operator(service, 'temp', 1)
  const { body } = await uploadAs(service, token, lines(rows(20_000)))
  at += DAY_MS
  await ended(service, body.id)
  const job = await jobOf(service, body.id)
  assert.deepEqual([job.state, job.rowsDone < job.rowsTotal], ['failed', true])
  assert.match(job.error, /the credential of temp has ended/)
})

test('an upload that ends after its operator becomes no job, and nothing of it stays', async () => {
  await using service = await startService()
  const { token, revoke } = await operator(service)
  const outgoing = begin(service, token, 'POST', '/v1/jobs')
  outgoing.write(lines([{ deviceId: 'd1' }]))
  await until(() => readdirSync(join(service.directory, 'jobs')).length === 1)
  await revoke()
  outgoing.end(lines([{ deviceId: 'd2' }]))
  assert.equal((await answerTo(outgoing)).status, 401)
  assert.deepEqual((await service.call('GET', '/v1/jobs')).body.items, [])
  assert.deepEqual(readdirSync(join(service.directory, 'jobs')), [])
})

test('an operator has four uploads under way at most, and keeps others from none', async t => {
  await using service = await startService()
  const { token } = await operator(service)
  const open = Array.from({ length: 4 }, () => begin(service, token, 'POST', '/v1/jobs'))
  t.after(() => open.map(outgoing => outgoing.destroy()))
  for (const outgoing of open) {
    outgoing.on('error', () => {})
    outgoing.write(lines([{ deviceId: 'd1' }]))
  }
  const underWay = () => readdirSync(join(service.directory, 'jobs')).length
  await until(() => underWay() === 4)
  const fifth = await uploadAs(service, token, lines([{ deviceId: 'd2' }]))
  assert.deepEqual([fifth.status, fifth.body.reason], [429, 'jobs_exceeded'])
  assert.equal((await upload(service, lines([{ deviceId: 'd3' }]))).status, 202)
  for (const outgoing of open) outgoing.destroy()
  await until(() => underWay() === 1)
  assert.equal((await uploadAs(service, token, lines([{ deviceId: 'd2' }]))).status, 202)
})

test('an export is cut when its caller has no right to it any more', async () => {
  await using service = await startService()
  const attributes = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [`a${index}`, 'x'.repeat(250)]),
  )
  // More than sockets and streams hold back.
  await imported(
    service,
    rows(1_500).map(row => ({ ...row, attributes })),
  )
  const { token, revoke } = await operator(service)
  const outgoing = begin(service, token, 'GET', '/v1/export').end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  await revoke()
  await assert.rejects(async () => {
    for await (const _ of response);
  }, /aborted/)
})
