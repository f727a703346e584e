// Spans of a running system with a real OpenTelemetry SDK loaded before it, and a gate in a process of its own.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { repository, temporaryDirectory, until } from '../cli/running.ts'
import { connectPacket } from '../harness/broker.ts'
import { type Device, enroll, openTls } from './devices.ts'
import { start } from './mosquitto.ts'
import { anyPorts, type System, startSystem } from './system.ts'

type Span = {
  pid: number
  name: string
  attributes: Record<string, string | number | boolean>
  status: number
  traceId: string
  spanId: string
  parentId: string | null
  tookMs: number
}

let folder: ReturnType<typeof temporaryDirectory>
let system: System
let device: Device
const file = () => join(folder.path, 'spans.jsonl')
const spans = () =>
  readFileSync(file(), 'utf8')
    .split('\n')
    .slice(0, -1) // what follows the last line's end is being written
    .map(line => JSON.parse(line) as Span)

/** Resolves with the first span that fits. */
async function spanOf(name: string, fits: (span: Span) => boolean = () => true): Promise<Span> {
  const find = () => spans().find(span => span.name === name && fits(span))
  await until(() => find() !== undefined, `a span ${name} comes`)
  return find()!
}

before(async () => {
  folder = temporaryDirectory()
  writeFileSync(file(), '')
  const preload = join(repository, 'test/harness/tracing-preload.ts')
  system = await startSystem(join(folder.path, 'data'), {
    flags: [...anyPorts, '--gates', '1'],
    env: { NODE_OPTIONS: `--import ${preload}`, SPANS_FILE: file() },
  })
  device = await enroll(system.api, folder.path, 'd1')
})
after(async () => {
  await system[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

test('an enrollment is a request with the issuing under it', async () => {
  const request = await spanOf('POST /v1/devices/:id/certificates')
  assert.equal(request.attributes['http.response.status_code'], 201)
  assert.match(String(request.attributes['rollcall.request_id']), /^[0-9a-f-]{36}$/)
  const issue = await spanOf('rollcall.issue')
  assert.deepEqual([issue.traceId, issue.parentId], [request.traceId, request.spanId])
  assert.deepEqual(issue.attributes, { 'rollcall.device_id': 'd1', 'rollcall.purpose': 'device' })
})

test('an admission goes on from the gate to CONNACK in the other process', async () => {
  const { id, files } = device
  const sent = start('mosquitto_pub', [
    ...['-h', 'localhost', '-p', String(system.mqttsPort), '-i', id, '-t', 'devices/d1/x', '-m', 'x'],
    ...['--cafile', files.ca, '--cert', files.certificate, '--key', files.key],
  ])
  assert.equal((await sent.ended).code, 0)
  const connect = await spanOf('rollcall.connect')
  const admission = await spanOf('rollcall.admission')
  assert.deepEqual(admission.attributes, {
    'rollcall.admitted': true,
    'rollcall.fingerprint': device.fingerprint,
    'rollcall.device_id': 'd1',
  })
  assert.deepEqual([connect.traceId, connect.parentId], [admission.traceId, admission.spanId])
  assert.notEqual(connect.pid, admission.pid)
  assert.equal(connect.attributes['rollcall.connack'], 0)
  for (const name of ['tls.handshake', 'rollcall.decision']) {
    const part = await spanOf(name)
    assert.equal(part.parentId, admission.spanId, name)
    assert.ok(part.tookMs >= 0 && part.tookMs <= admission.tookMs + 1, name)
  }
})

test('a connection refused by the engine, and one refused by the gate, have their reason in the trace', async () => {
  const socket = await openTls(system.mqttsPort, device)
  socket.on('error', () => {})
  const closed = new Promise(resolve => socket.resume().once('close', resolve))
  socket.write(connectPacket({ clientId: 'somebody-else' }))
  await closed
  const connect = await spanOf('rollcall.connect', ({ status }) => status === 2)
  assert.equal(connect.attributes['rollcall.connack'], 2)
  const stranger = await openTls(system.mqttsPort, null)
  stranger.on('error', () => {})
  await new Promise(resolve => stranger.resume().once('close', resolve))
  const refused = await spanOf(
    'rollcall.admission',
    ({ attributes }) => attributes['rollcall.admitted'] === false,
  )
  assert.deepEqual(refused.attributes, {
    'rollcall.admitted': false,
    'rollcall.reason': 'certificate_missing',
  })
})

test('a revocation is a request with its receipt, and a change that the broker acted on, by one epoch', async () => {
  await system.ask('certificate', 'revoke', device.fingerprint)
  const receipt = await spanOf('rollcall.receipt')
  const request = await spanOf('POST /v1/certificates/:fingerprint/revoke')
  assert.equal(receipt.parentId, request.spanId)
  assert.equal(receipt.attributes['rollcall.brokers_acknowledged'], 1)
  const epoch = receipt.attributes['rollcall.epoch']
  const change = await spanOf('rollcall.change', ({ attributes }) => attributes['rollcall.epoch'] === epoch)
  assert.ok(change.tookMs >= 0 && change.tookMs < 60_000)
})

test('no caller names or continues a trace, and none of them holds a secret', async () => {
  const token = readFileSync(join(system.data, 'admin.token'), 'utf8').trim()
  const parent = 'a'.repeat(32)
  const answer = await fetchUnverified(token, { traceparent: `00-${parent}-${'b'.repeat(16)}-01` })
  assert.equal(answer, 404)
  await spanOf('GET unknown')
  const text = readFileSync(file(), 'utf8')
  for (const secret of [token, parent, 'PRIVATE KEY', 'CERTIFICATE', 'hunter2'])
    assert.ok(!text.includes(secret))
  for (const { name, attributes } of spans()) {
    assert.match(name, /^(rollcall\.\w+|tls\.handshake|[A-Z]+ (unknown|\/[\w/:.*-]*))$/)
    for (const key of Object.keys(attributes)) assert.match(key, /^(rollcall|http|url|tls|error)\.[\w.]+$/)
  }
})

async function fetchUnverified(token: string, headers: Record<string, string>): Promise<number> {
  const { request } = await import('node:https')
  return new Promise((resolve, reject) => {
    const all = { ...headers, authorization: `Bearer ${token}` }
    const sent = request(
      `${system.ready.api}/v1/nothing?password=hunter2`,
      { headers: all, rejectUnauthorized: false },
      answer => {
        answer.resume().once('end', () => resolve(answer.statusCode ?? 0))
      },
    )
    sent.once('error', reject)
    sent.end()
  })
}
