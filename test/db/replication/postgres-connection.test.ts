// Connections to a real PostgreSQL: TLS is verified, and the password comes from a file that others cannot read.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connectPostgres, readPostgresSettings } from '../../../db/replication/postgres.ts'
import { createAuthority, usage } from '../../harness/authority.ts'
import { startPostgres } from '../../harness/postgres.ts'

test('TLS is verified by CA and name, and a password comes from its file alone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-pg-connection-'))
  const authority = await createAuthority()
  const stranger = await createAuthority()
  const tls = await authority.issue({ name: 'localhost', usages: [usage.serverAuth] })
  const server = await startPostgres({ tls })
  const file = (name: string, text: string) => {
    writeFileSync(join(directory, name), text, { mode: 0o600 })
    return join(directory, name)
  }
  const connect = async (
    query: string,
    options: Parameters<typeof readPostgresSettings>[1] = {},
    user = 'rollcall',
  ) => {
    const url = new URL(server.url)
    url.hostname = 'localhost'
    url.username = user
    url.search = query
    const client = await connectPostgres(readPostgresSettings(url.href, options), { name: 'test' })
    const { rows } = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
    await client.end()
    return rows[0].ssl as boolean
  }
  try {
    const known = `sslmode=verify-full&sslrootcert=${file('ca.crt', authority.certificate)}`
    assert.equal(await connect(known), true)
    assert.equal(await connect('sslmode=disable'), false)
    await assert.rejects(
      connect(`sslmode=verify-full&sslrootcert=${file('other.crt', stranger.certificate)}`),
      /certificate/,
    )
    await assert.rejects(connect('sslmode=verify-full'), /certificate/)

    await server.query("CREATE ROLE guarded LOGIN PASSWORD 's3cret'")
    const [{ hba_file: hba = '' } = {}] = await server.query('SHOW hba_file')
    writeFileSync(String(hba), 'host all guarded all scram-sha-256\nhost all all all trust\n')
    await server.query('SELECT pg_reload_conf()')
    const passwordFile = file('password', 's3cret\n')
    assert.equal(await connect(known, { passwordFile }, 'guarded'), true)
    const passfile = file('pgpass', 'localhost:*:*:guarded:s3cret\n')
    assert.equal(await connect(`${known}&passfile=${passfile}`, {}, 'guarded'), true)
    assert.equal(await connect(known, { env: { PGPASSFILE: passfile } }, 'guarded'), true)
    await assert.rejects(connect(known, { passwordFile: file('wrong', 'wr0ng') }, 'guarded'), error => {
      assert.match((error as Error).message, /password authentication failed/)
      return true
    })
    chmodSync(passfile, 0o644)
    await assert.rejects(connect(`${known}&passfile=${passfile}`, {}, 'guarded'), /can be read by others/)
    await assert.rejects(
      connect(`${known}&passfile=${directory}/none`, {}, 'guarded'),
      /--registry-password-file/,
    )
  } finally {
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  }
})

test('nothing that is asked of tables without statistics is compiled before it is answered', async () => {
  const server = await startPostgres()
  const client = await connectPostgres(readPostgresSettings(server.url), { name: 'test' })
  try {
    // Each plan is dear enough.
    await client.query('SET jit_above_cost = 0')
    const { rows } = await client.query('EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM pg_class')
    const [explained] = rows[0]['QUERY PLAN']
    assert.ok('Execution Time' in explained && !('JIT' in explained), JSON.stringify(explained))
  } finally {
    await client.end()
    await server.close()
  }
})
