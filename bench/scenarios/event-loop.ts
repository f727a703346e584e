// How long one request holds the event loop of the provisioning service. Run by hand: node bench/scenarios/event-loop.ts [devices]
// Asks each route what keeps it longest, one request at a time, and prints the longest hold of each by the clock and of CPU.
import { type ChildProcess, fork } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { accessTable } from '../../provisioning/operators/access.ts'
import { makeCrlAuthority } from '../../test/provisioning/anchors/crl-authority.ts'
import { makeCsr, signedBy } from '../../test/provisioning/harness.ts'
import type { Asked } from '../event-loop/asked.ts'
import { fillRecord } from '../event-loop/record.ts'
import { type Names, slowestRequests } from '../event-loop/requests.ts'

const devices = Number(process.argv[2] ?? 10_000)
const only = process.argv[3]
const CRL_ENTRIES = 100_000
const TARGET_MS = 50
const ANSWER_MS_MAX = 30_000
const entry = new URL('../event-loop/service.ts', import.meta.url).pathname
type Held = { ms: number; cpuMs: number }
type Answer = { status: number; text: string }

const data = mkdtempSync(join(tmpdir(), 'rollcall-bench-event-loop-'))
let service: ChildProcess | null = null
try {
  await stop((await start()).child)
  const fingerprints = await fillRecord(data, devices)
  const { child, url, statusUrl } = await start()
  const agent = new Agent({ keepAlive: true, ca: readFileSync(join(data, 'ca.crt')) })
  const authorization = `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}`
  const call = (method: string, { path, body, raw, type, headers }: Asked): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body))
      const outgoing = request(`${url}${path}`, {
        method,
        agent,
        timeout: ANSWER_MS_MAX,
        headers: {
          authorization,
          ...(sent === undefined ? {} : { 'content-type': type ?? 'application/json' }),
          ...headers,
        },
      })
      outgoing.once('error', reject)
      outgoing.once('timeout', () => outgoing.destroy())
      outgoing.once('response', response => {
        const { statusCode: status = 0, headers: got } = response
        let text = ''
        if (got['content-type']?.startsWith('text/event-stream')) {
          resolve({ status, text })
          outgoing.destroy()
          return
        }
        response.on('data', part => {
          if (text.length < 4_096) text += part
        })
        response.once('error', reject)
        response.once('end', () => resolve({ status, text }))
      })
      outgoing.end(sent)
    })
  const held = async (work: () => Promise<unknown>): Promise<Held> => {
    await told(child, 'begin')
    await work()
    // What a request left to be done.
    await setTimeout(300)
    return (await told(child, 'end')) as Held
  }

  using authority = makeCrlAuthority()
  const listed = Object.fromEntries(
    Array.from({ length: CRL_ENTRIES }, (_, index) => [
      (index + 0x10000000).toString(16).toUpperCase(),
      'keyCompromise',
    ]),
  )
  const made = async (path: string, body: object) => JSON.parse((await call('POST', { path, body })).text)
  const issuers = (await call('GET', { path: '/v1/issuers' })).text
  await made('/v1/issuers', { certificate: authority.ca.certificate })
  const names: Names = {
    device: 'fleet-0000001',
    connected: 'fleet-0000005',
    fingerprint: fingerprints[1]!,
    fingerprints,
    issuing: JSON.parse(issuers).items.find((one: { kind: string }) => one.kind === 'issuing').id,
    anchor: fingerprintOf(new X509Certificate(authority.ca.certificate).raw),
    job: '00000000-0000-0000-0000-000000000000',
    csr: makeCsr('p256').csr,
    certificate: '',
    newCertificate: signedBy(authority.ca, '/CN=fleet-0000010'),
    anchorCertificate: makeCrlAuthority('Another').ca.certificate,
    crl: authority.crl(listed),
    token: (await made('/v1/api-tokens', { name: 't', role: 'viewer' })).id,
    webhook: (await made('/v1/webhooks', { url: 'https://example.com/hook' })).id,
    claim: (await made('/v1/claims', { name: 'first', csr: makeCsr('p256').csr, quota: 1 })).id,
    enrollmentToken: (await made('/v1/enrollment-tokens', { deviceId: 'fleet-0000002' })).id,
  }
  await held(() => call('GET', { path: '/v1/overview' }))
  const table: Record<string, string | number>[] = []
  const asked = slowestRequests(names)
  const missing = Object.keys(accessTable).filter(route => asked[route] === undefined)
  if (missing.length > 0) throw new Error(`no request is known for ${missing.join(', ')}`)
  const note = (route: string, { ms, cpuMs }: Held, status: string) =>
    table.push({ route, 'held, ms': Math.round(ms), 'of CPU, ms': Math.round(cpuMs), answered: status })
  for (const [route, requests] of Object.entries(asked)) {
    if (only !== undefined && !route.includes(only)) continue
    let worst: Held = { ms: 0, cpuMs: 0 }
    const statuses: string[] = []
    for (const one of requests) {
      const took = await held(async () => {
        try {
          const { status, text } = await call(route.split(' ', 1)[0]!, one)
          statuses.push(String(status))
          if (route === 'POST /v1/jobs' && status === 202) names.job = JSON.parse(text).id
        } catch (error) {
          statuses.push((error as Error).message)
        }
      })
      worst = { ms: Math.max(worst.ms, took.ms), cpuMs: Math.max(worst.cpuMs, took.cpuMs) }
      if (requests.length > 1 && took.cpuMs > TARGET_MS / 2)
        console.log(
          route,
          one.path.slice(0, 80),
          `${one.raw?.length ?? 0} bytes`,
          Math.round(took.cpuMs),
          'ms of CPU',
        )
    }
    note(route, worst, statuses.join(' '))
  }
  if (only === undefined) {
    const status = (path: string) =>
      new Promise<void>((resolve, reject) => {
        plainRequest(`${statusUrl}${path}`, response => response.resume().once('end', resolve))
          .once('error', reject)
          .end()
      })
    note('CRL with 4,000 entries', await held(() => status(`/crl/${names.issuing.slice(0, 16)}.crl`)), '')
    note('OCSP, no request', await held(() => status(`/ocsp/${'A'.repeat(200)}`)), '')
    note('/metrics', await held(() => told(child, 'metrics')), '')
  }
  console.table(table.toSorted((a, b) => Number(b['of CPU, ms']) - Number(a['of CPU, ms'])))
  agent.destroy()
  await stop(child)
} finally {
  ;(service as ChildProcess | null)?.kill()
  rmSync(data, { recursive: true, force: true })
}

async function start() {
  const child = fork(entry, [data], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  service = child
  const [{ url, statusUrl }] = (await once(child, 'message')) as [{ url: string; statusUrl: string }]
  return { child, url, statusUrl }
}

async function stop(child: ChildProcess): Promise<void> {
  child.send('stop')
  await once(child, 'exit')
}

async function told(child: ChildProcess, message: 'begin' | 'end' | 'metrics'): Promise<unknown> {
  const answered = once(child, 'message')
  child.send(message)
  return (await answered)[0]
}
