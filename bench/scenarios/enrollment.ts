// How fast certificates are issued through the API. Run by hand: node bench/scenarios/enrollment.ts [certificates]
// One by one: 32 callers over keep-alive, each waiting for its answer. Bulk: one upload, until its job is done. What the
// service spends is its own CPU, all threads of it, and not that of the callers.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { createClient, type Job } from '../../client/index.ts'
import { cpuMicros, loopMicros, residentKib } from '../cpu.ts'
import { type FleetRequest, makeRequests } from '../requests.ts'

const count = Number(process.argv[2] ?? 5_000)
const CALLERS = 32
const entry = new URL('../../cli/main.ts', import.meta.url).pathname

const data = mkdtempSync(join(tmpdir(), 'rollcall-bench-enrollment-'))
const service = spawn(
  process.execPath,
  [entry, 'provisioning', '--data', data, '--api-port', '0', '--admin-port', '0', '--status-port', '0'],
  {
    stdio: ['ignore', 'ignore', 'pipe'],
  },
)
try {
  const url = await new Promise<string>((resolve, reject) => {
    let log = ''
    service.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < 100_000) log += text
      const found = /accepts at (https:\S+),/.exec(log)
      if (found?.[1] !== undefined) resolve(found[1])
    })
    service.once('exit', () => reject(new Error(`provisioning ended: ${log}`)))
  })
  const agent = new Agent({ keepAlive: true, maxSockets: CALLERS, ca: readFileSync(join(data, 'ca.crt')) })
  const authorization = `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}`
  const post = (path: string, body: object) =>
    new Promise<number>((resolve, reject) => {
      const outgoing = request(`${url}${path}`, {
        method: 'POST',
        agent,
        headers: { authorization, 'content-type': 'application/json' },
      })
      outgoing.once('error', reject)
      outgoing.once('response', response => {
        response.resume()
        response.once('end', () => resolve(response.statusCode ?? 0))
      })
      outgoing.end(JSON.stringify(body))
    })
  const fleet = await makeRequests('bench', count + 200)
  await measured('device registered', fleet, () =>
    each(fleet, ({ deviceId }) => post('/v1/devices', { id: deviceId })),
  )
  await each(fleet.splice(0, 200), enroll)
  await measured('certificate issued, one by one', fleet, () => each(fleet, enroll))
  const rows = await makeRequests('bulk', count)
  await measured('device registered and certificate issued, in bulk', rows, () => bulk(rows))

  /** Uploads all of them, and waits for the job. */
  async function bulk(rows: FleetRequest[]): Promise<void> {
    const client = createClient({
      api: url,
      token: authorization.slice(7),
      ca: readFileSync(join(data, 'ca.crt')),
    })
    const lines = rows.map(row => Buffer.from(`${JSON.stringify(row)}\n`))
    let job: Job = await client.jobs.add(Readable.from(lines), { format: 'ndjson' })
    while (job.state === 'waiting' || job.state === 'running') {
      await setTimeout(100)
      job = await client.jobs.show(job.id)
    }
    client.close()
    if (job.counts.enrolled !== rows.length) throw new Error(JSON.stringify(job))
  }

  function enroll({ deviceId, csr }: FleetRequest): Promise<number> {
    return post(`/v1/devices/${deviceId}/certificates`, { csr })
  }
} finally {
  service.kill()
  rmSync(data, { recursive: true, force: true })
}

async function measured(what: string, fleet: FleetRequest[], work: () => Promise<void>) {
  const pid = service.pid ?? 0
  const [spent, looped, began] = [cpuMicros(pid), loopMicros(pid), performance.now()]
  await work()
  const seconds = (performance.now() - began) / 1_000
  const micros = Math.round((cpuMicros(pid) - spent) / fleet.length)
  const loop = Math.round((loopMicros(pid) - looped) / fleet.length)
  const rate = Math.round(fleet.length / seconds)
  console.log(
    `${what}: ${rate}/s, ${micros} µs of CPU each, ${loop} of them on the event loop, ${Math.round(residentKib(pid) / 1024)} MiB resident`,
  )
}

async function each(fleet: FleetRequest[], one: (from: FleetRequest) => Promise<number>): Promise<void> {
  const waiting = fleet.values()
  const caller = async () => {
    for (const from of waiting) {
      const status = await one(from)
      if (status !== 201) throw new Error(`answered ${status}`)
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
}
