// How long a replica of a large registry takes that is not there yet: of a provisioning service (all rows) and of a broker. The registry is
// generated. Run by hand: node bench/scenarios/first-sync.ts [devices]
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { connectPostgres, readPostgresSettings } from '../../db/replication/postgres.ts'
import { preparePostgresSchema } from '../../db/replication/postgres-schema.ts'
import { publishFirst } from '../../db/replication/registry-rows.ts'
import { startReplica } from '../../db/replication/replica.ts'
import * as tables from '../../db/replication/replicated-tables.ts'
import { allRows } from '../../db/replication/row-capture.ts'
import { startPostgres } from '../../test/harness/postgres.ts'

const devices = Number(process.argv[2] ?? 200_000)
/** As a P-256 certificate of the issuing CA is long. */
const DER_BYTES = 620

const directory = mkdtempSync(join(tmpdir(), 'rollcall-bench-first-sync-'))
const server = await startPostgres({ durable: true })
const settings = readPostgresSettings(server.url)
try {
  const rows = await publish()
  console.log(`${devices} devices with a certificate: ${rows} rows`)
  const kinds = { service: [], broker: (tables as { notOfBrokers?: readonly string[] }).notOfBrokers ?? [] }
  for (const [kind, without] of Object.entries(kinds)) {
    const file = join(directory, `${kind}.db`)
    const began = performance.now()
    const cpu = process.cpuUsage()
    const options = { settings, file, name: kind, without, onFailed: (error: unknown) => console.log(error) }
    const replica = await startReplica(options)
    const seconds = (performance.now() - began) / 1000
    const { user, system } = process.cpuUsage(cpu)
    await replica.stop()
    const size = (statSync(file).size / 2 ** 20).toFixed(0)
    console.log(
      `${kind}: ${seconds.toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} s of CPU here, ${size} MiB, peak ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB of memory`,
    )
    rmSync(file)
  }
} finally {
  await server.close()
  rmSync(directory, { recursive: true, force: true })
}

/** Without the verbs, which would take an hour: the rows that they leave. */
async function publish(): Promise<number> {
  const file = join(directory, 'registry.db')
  const registry = openForWriting(file)
  const { sqlite } = registry
  sqlite.pragma('synchronous = OFF')
  sqlite.pragma('cache_size = -2000000') // 2 GB: its indexes are written in no order
  // Its rows are no chain here, and nobody verifies them.
  const guards = sqlite.prepare<[], string>(
    "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'",
  )
  for (const name of guards.pluck().all()) sqlite.exec(`DROP TRIGGER ${name}`)
  const now = Date.now()
  const issuer = 'issuing'
  sqlite
    .prepare(
      `INSERT INTO issuers (id, name, kind, der, enabled, not_before, not_after, created_at) VALUES (?, ?, 'issuing', ?, 1, 0, ?, ?)`,
    )
    .run(issuer, issuer, Buffer.alloc(10), now * 2, now)
  const device = sqlite.prepare(
    `INSERT INTO devices (id, state, attributes, created_at, updated_at) VALUES (?, 'active', '{"site":"north"}', ?, ?)`,
  )
  const group = sqlite.prepare('INSERT INTO device_groups (device_id, name) VALUES (?, ?)')
  const certificate = sqlite.prepare(
    `INSERT INTO certificates (fingerprint, device_id, issuer_id, trust, status, serial_number, subject, key_type, spki_hash, client_auth, is_ca,
       not_before, not_after, der, issued_at) VALUES (?, ?, ?, 'chained', 'active', ?, ?, 'EC P-256', ?, 1, 0, ?, ?, ?, ?)`,
  )
  const audit = sqlite.prepare(
    `INSERT INTO audit (at, actor, action, target, outcome, detail, prev_hash, hash, actor_kind) VALUES (?, 'bench', ?, ?, 'ok', '{}', ?, ?, 'operator')`,
  )
  const change = sqlite.prepare('INSERT INTO changes (at, kind, device_id, fingerprint) VALUES (?, ?, ?, ?)')
  const hex = () => randomBytes(32).toString('hex')
  sqlite.transaction(() => {
    for (let at = 0; at < devices; at += 1) {
      const id = `sensor-${at}`
      const fingerprint = hex()
      device.run(id, now, now)
      group.run(id, `group-${at % 100}`)
      certificate.run(
        ...[fingerprint, id, issuer, hex().slice(0, 32), `CN=${id}`, hex(), now, now + 3e10],
        ...[randomBytes(DER_BYTES), now],
      )
      for (const action of ['device.add', 'certificate.issue']) audit.run(now, action, id, hex(), hex())
      change.run(now, 'certificate', id, fingerprint)
    }
  })()
  const client = await connectPostgres(settings, { name: 'bench' })
  await preparePostgresSchema(client, true)
  await publishFirst(client, { id: randomUUID(), writer: 'bench', rows: allRows(sqlite) })
  const [found] = await server.query('SELECT count(*)::int AS rows FROM rollcall.registry_rows')
  await server.query('ANALYZE rollcall.registry_rows')
  await client.end()
  await closeRegistry(registry)
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
  return found?.['rows'] as number
}
