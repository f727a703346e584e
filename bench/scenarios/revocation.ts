// What a CRL of 100,000 entries costs, and an OCSP answer. Run by hand: node bench/scenarios/revocation.ts [entries]
// The client is a process of its own; CPU is the service's alone. A slice is what one turn of its event loop took.
import { execFileSync, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { createProvisioning } from '../../provisioning/index.ts'

const [, , first = '100000', address = '', request64 = '', kind = ''] = process.argv
const ANSWERS = 20_000
const AT_ONCE = 16

if (first === 'client') await ask(address, Buffer.from(request64, 'base64'), kind === 'nonce')
else await measure(Number(first))

async function measure(entries: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-bench-revocation-'))
  const start = () =>
    createProvisioning({ data: directory, host: '127.0.0.1', apiPort: 0, sans: [], log: 'silent' })
  try {
    await (await start()).close()
    await fill(join(directory, 'registry.db'), entries)
    const service = await start()
    const before = { cpu: process.cpuUsage(), at: performance.now() }
    const slices = watchSlices()
    await service.makeCrls()
    const worst = slices.stop()
    const cpu = process.cpuUsage(before.cpu)
    const seconds = (performance.now() - before.at) / 1000
    console.log(
      `CRL of ${entries}: ${seconds.toFixed(2)} s, ${((cpu.user + cpu.system) / 1e6).toFixed(2)} s of CPU, ` +
        `longest slice ${worst.toFixed(0)} ms of CPU (targets ≤ 2 s, ≤ 50 ms)`,
    )
    for (const kind of ['kept', 'nonce']) {
      const asked = requestFor(directory, kind === 'nonce')
      await answers(`${service.statusUrl}/ocsp`, asked, kind)
    }
    await service.close()
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** About the server certificate, which the service knows as good. */
function requestFor(directory: string, withNonce: boolean): Buffer {
  const file = join(directory, 'request.der')
  execFileSync('openssl', [
    ...['ocsp', '-issuer', join(directory, 'issuing.crt'), '-cert', join(directory, 'server.crt')],
    ...[...(withNonce ? [] : ['-no_nonce']), '-reqout', file],
  ])
  return readFileSync(file)
}

async function answers(address: string, asked: Buffer, kind: string): Promise<void> {
  const cpu = process.cpuUsage()
  const began = performance.now()
  const child = fork(fileURLToPath(import.meta.url), ['client', address, asked.toString('base64'), kind])
  const told = await new Promise<Record<string, number>>(resolve => child.once('message', resolve as never))
  const used = process.cpuUsage(cpu)
  const count = Object.values(told).reduce((a, b) => a + b, 0)
  const seconds = (performance.now() - began) / 1000
  console.log(
    `OCSP, ${kind}: ${Math.round(count / seconds)} answers/s, ${Math.round((used.user + used.system) / count)} µs of CPU each`,
    told,
  )
}

/** The longest that one turn of the event loop kept this thread busy, in ms of its CPU time. */
function watchSlices(): { stop(): number } {
  let worst = 0
  let watching = true
  const turn = (before: NodeJS.CpuUsage) => {
    const { user, system } = process.threadCpuUsage(before)
    worst = Math.max(worst, (user + system) / 1000)
    if (watching) setImmediate(turn, process.threadCpuUsage())
  }
  setImmediate(turn, process.threadCpuUsage())
  return {
    stop: () => {
      watching = false
      return worst
    },
  }
}

/** Revoked certificates, each of a device of its own, as rows alone. */
async function fill(file: string, entries: number): Promise<void> {
  const registry = openForWriting(file)
  const { sqlite } = registry
  const issuer = sqlite.prepare("SELECT id FROM issuers WHERE kind = 'issuing'").pluck().get() as string
  const device = sqlite.prepare(
    "INSERT INTO devices (id, state, created_at, updated_at) VALUES (?, 'active', 0, 0)",
  )
  const certificate = sqlite.prepare(
    `INSERT INTO certificates (fingerprint, device_id, issuer_id, trust, status, revocation_reason, serial_number, subject,
       key_type, spki_hash, client_auth, is_ca, not_before, not_after, der, issued_at, revoked_at)
     VALUES (?, ?, ?, 'chained', 'revoked', 'keyCompromise', ?, 'CN=x', 'p256', ?, 1, 0, 0, ?, x'00', 0, ?)`,
  )
  const now = Date.now()
  sqlite.transaction(() => {
    for (let at = 0; at < entries; at += 1) {
      device.run(`device-${at}`)
      const serial = `5${randomBytes(20).toString('hex').slice(1)}`
      const [fingerprint, spki] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
      certificate.run(fingerprint, `device-${at}`, issuer, serial, spki, now + 86_400_000, now - at * 1_000)
    }
    sqlite.prepare("INSERT INTO changes (at, kind) VALUES (0, 'certificate')").run()
  })()
  await closeRegistry(registry)
}

/** The client: what many relying parties ask, by POST over kept connections. */
async function ask(address: string, body: Buffer, withNonce: boolean): Promise<void> {
  const outcomes: Record<string, number> = {}
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  let left = ANSWERS
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) {
        const asked = Buffer.from(body)
        if (withNonce) randomBytes(16).copy(asked, asked.length - 16)
        const bytes = await answerTo(address, asked, agent)
        const outcome = bytes > 100 ? 'answered' : 'tryLater'
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      }
    }),
  )
  agent.destroy()
  process.send?.(outcomes)
}

function answerTo(address: string, body: Buffer, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/ocsp-request', 'content-length': body.length }
    const outgoing = request(address, { method: 'POST', agent, headers }, response => {
      let bytes = 0
      response.on('data', part => {
        bytes += part.length
      })
      response.on('end', () => resolve(bytes))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
