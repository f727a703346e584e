// What a registry in PostgreSQL costs: verbs beside those of SQLite alone, the first sync of a replica, and how soon a change is
// everywhere. Run by hand: node bench/scenarios/replication.ts [devices]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeRegistry, createRegistryWriter, openForWriting, type RegistryWriter } from '../../db/index.ts'
import { openSharedRegistry } from '../../db/replication/index.ts'
import { readPostgresSettings } from '../../db/replication/postgres.ts'
import { startReplica } from '../../db/replication/replica.ts'
import { startPostgres } from '../../test/harness/postgres.ts'

const devices = Number(process.argv[2] ?? 20_000)
const CHANGES = 500
const REPLICAS = 3
const AT_ONCE = 200
const actor = { name: 'bench', kind: 'local' } as const

const directory = mkdtempSync(join(tmpdir(), 'rollcall-bench-replication-'))
const server = await startPostgres({ durable: true })
const settings = readPostgresSettings(server.url)
const onFailed = (error: unknown) => {
  throw error
}
try {
  const alone = openForWriting(join(directory, 'alone.db'))
  const aloneMs = await fill(createRegistryWriter(alone), devices)
  await closeRegistry(alone)

  const shared = await openSharedRegistry({
    settings,
    file: join(directory, 'one.db'),
    name: 'one',
    onFailed,
  })
  const writer = createRegistryWriter(shared.registry)
  const sharedMs = await fill(writer, devices)
  console.log(
    `${devices} devices added, ${AT_ONCE} at once: ${perSecond(aloneMs)}/s in SQLite alone, ${perSecond(sharedMs)}/s by way of PostgreSQL`,
  )

  const [{ rows = 0 } = {}] = await server.query('SELECT count(*)::int AS rows FROM rollcall.registry_rows')
  const began = performance.now()
  const cpu = process.cpuUsage()
  const late = await startReplica({ settings, file: join(directory, 'late.db'), name: 'late', onFailed })
  const tookMs = performance.now() - began
  const { user, system } = process.cpuUsage(cpu)
  console.log(
    `first sync: ${rows} rows in ${Math.round(tookMs)} ms, ${((user + system) / Number(rows)).toFixed(1)} µs of CPU a row`,
  )

  const others = await Promise.all(
    Array.from({ length: REPLICAS - 1 }, (_, index) =>
      startReplica({
        settings,
        file: join(directory, `replica-${index}.db`),
        name: `replica-${index}`,
        onFailed,
      }),
    ),
  )
  const replicas = [late, ...others]
  const answers: number[] = []
  const spread: number[] = []
  for (let index = 0; index < CHANGES; index += 1) {
    const asked = performance.now()
    await writer.addDevice({ id: `change-${index}`, attributes: {}, groups: [] }, actor)
    const answered = performance.now()
    answers.push(answered - asked)
    const sequence = shared.replica.sequence()
    while (replicas.some(replica => replica.sequence() < sequence))
      await new Promise(resolve => setImmediate(resolve))
    spread.push(performance.now() - answered)
  }
  console.log(
    `a change alone: answered after ${quantiles(answers)}; in ${REPLICAS} replicas ${quantiles(spread)} after its answer`,
  )
  for (const replica of replicas) await replica.stop()
  await shared.close()
} finally {
  await server.close()
  rmSync(directory, { recursive: true, force: true })
}

async function fill(writer: RegistryWriter, count: number): Promise<number> {
  const began = performance.now()
  for (let from = 0; from < count; from += AT_ONCE)
    await Promise.all(
      Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, index) =>
        writer.addDevice(
          { id: `sensor-${from + index}`, attributes: { site: 'north' }, groups: ['sensors'] },
          actor,
        ),
      ),
    )
  return performance.now() - began
}

function perSecond(ms: number): string {
  return Math.round(devices / (ms / 1_000)).toLocaleString('en')
}

function quantiles(values: number[]): string {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(1)
  return `${at(0.5)} ms (p50), ${at(0.99)} ms (p99)`
}
