// Imports where several services share the registry: the one that took the upload is killed in the middle, and the other one ends the job and
// says why; the same file again does the rest. A service that lives is never taken for gone.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { createClient } from '../../../client/index.ts'
import { createJobReader } from '../../../db/jobs/job-store.ts'
import { watchGoneServices } from '../../../provisioning/jobs/gone-services.ts'
import { startPostgres } from '../../harness/postgres.ts'
import { createRoll } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'
import { assertProblem, startService, temporaryDirectory } from '../harness.ts'
import { lines, upload } from './uploads.ts'

const ROWS = 1_500
const GONE_MS = 1_500

async function serve(data: string, registry: string): Promise<ChildProcess> {
  const fixture = new URL('../fixtures/serving.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [fixture, data, '20', String(GONE_MS)], {
    env: { ...process.env, ROLLCALL_REGISTRY: registry },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [url] = await once(createInterface({ input: child.stdout! }), 'line')
  return Object.assign(child, { url: String(url).trim() })
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

test('an import whose service is killed is ended by another one, and the same file again does the rest', async t => {
  const server = await startPostgres()
  using one = temporaryDirectory()
  using other = temporaryDirectory()
  const file = lines(Array.from({ length: ROWS }, (_, n) => ({ deviceId: `d${n}`, groups: ['new'] })))
  let a = await serve(one.path, server.url)
  t.after(async () => {
    a.kill('SIGKILL')
    await server.close()
  })
  mkdirSync(other.path, { recursive: true })
  for (const name of ['ca.crt', 'issuing.crt', 'admin.token', 'audit.pub', 'keys'])
    cpSync(join(one.path, name), join(other.path, name), {
      recursive: true,
      filter: path => !/\.lock$|server\.key$|ocsp-/.test(path),
    })
  await using b = await startService({ data: other.path, registry: server.url, importGoneMs: GONE_MS })
  const at = { token: readFileSync(join(one.path, 'admin.token'), 'utf8').trim() }
  const clientOf = (child: ChildProcess) =>
    createClient({
      ...{ api: (child as ChildProcess & { url: string }).url, token: at.token },
      ca: readFileSync(join(one.path, 'ca.crt'), 'utf8'),
    })
  const client = clientOf(a)
  const { id } = await client.jobs.add(Readable.from([Buffer.from(file)]), { format: 'ndjson' })
  const job = async () => (await b.call('GET', `/v1/jobs/${id}`)).body
  // Asked of the one that imports: until the other one knows of it, all may be done.
  await until(async () => (await client.jobs.show(id)).rowsDone > 0)
  client.close()
  await kill(a)
  await until(async () => (await job()).state === 'failed')
  const { error, service, rowsDone } = await job()
  assert.equal(service, hostname())
  assert.match(
    error,
    /^the service on \S+ that has its rows was last heard at \S+: what was done stays; upload/,
  )
  assert.ok(rowsDone > 0 && rowsDone < ROWS, `${rowsDone}`)
  assertProblem(await b.call('GET', `/v1/jobs/${id}/results`), 409, 'results_elsewhere')

  const again = await upload(b, file)
  const second = async () => (await b.call('GET', `/v1/jobs/${again.body.id}`)).body
  await until(async () => (await second()).state === 'done')
  const { counts } = await second()
  assert.equal(counts.registered + counts.unchanged, ROWS)
  assert.ok(counts.unchanged >= rowsDone)
  const results = (await b.call('GET', `/v1/jobs/${again.body.id}/results`)).text.trim().split('\n')
  assert.equal(results.length, ROWS)

  // Its service comes back: the job stays ended, and what became of its rows is read there.
  a = await serve(one.path, server.url)
  const back = clientOf(a)
  assert.equal((await back.jobs.show(id)).state, 'failed')
  let told = 0
  for await (const _ of back.jobs.results(id, {})) told += 1
  assert.equal(told, rowsDone)
  back.close()
})

test('a service that says that it is there is not gone, however long its import takes', async () => {
  const roll = await createRoll()
  const jobs = createJobReader(roll.registry)
  const order = { actor: 'ann', actorKind: 'token', requestId: 'r', dryRun: false } as const
  await roll.writer.addJob({ ...order, id: 'long', rowsTotal: 1, service: 'one' }, 10)
  await roll.writer.addJob({ ...order, id: 'alone', rowsTotal: 1, service: null }, 10)
  const gone: string[] = []
  let said = 0
  const writer = {
    ...roll.writer,
    serveJobs(ids: readonly string[]) {
      said += 1
      return roll.writer.serveJobs(ids)
    },
  }
  const common = { jobs, writer, onGone: (id: string) => void gone.push(id), onFailed: assert.ifError }
  const own = { has: (id: string) => id === 'long' }
  const living = watchGoneServices({ ...common, files: own, leads: () => false, goneMs: 3_000 })
  const leading = watchGoneServices({
    ...common,
    files: { has: () => false },
    leads: () => true,
    goneMs: 3_000,
  })
  await until(() => said > 12)
  assert.deepEqual(gone, [])
  await living.stop()
  await until(() => gone.length > 0)
  assert.deepEqual([gone, jobs.job('long')!.state, jobs.job('alone')!.state], [['long'], 'failed', 'waiting'])
  await leading.stop()
  await roll.close()
})
