// What the first start makes, and that no later one changes it.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry } from '../../db/index.ts'
import { readIssuers } from '../../db/issuers/issuer-store.ts'
import { openForReading } from '../../db/open.ts'
import { preparePolicyLookup } from '../../db/policies/policy-lookup.ts'
import { parsePolicy } from '../../policy/document.ts'
import { hashes, lastingFiles, openssl, startAndStop, startService, temporaryDirectory } from './harness.ts'

function rowCounts(directory: string): Record<string, number> {
  const registry = openForReading(join(directory, 'registry.db'))
  const count = (table: string) =>
    registry.sqlite.prepare<[], number>(`SELECT count(*) FROM ${table}`).pluck().get() as number
  const tables = ['issuers', 'policies', 'policy_attachments', 'api_tokens', 'changes', 'audit', 'issuances']
  const counts = Object.fromEntries(tables.map(table => [table, count(table)]))
  registry.sqlite.close()
  return counts
}

test('a first start makes a CA that openssl verifies down to the server certificate', async () => {
  using folder = temporaryDirectory()
  const directory = join(folder.path, 'data')
  await startAndStop(directory)
  const file = (name: string) => join(directory, name)
  assert.match(openssl(['verify', '-CAfile', file('ca.crt'), file('issuing.crt')]), /OK/)
  assert.match(
    openssl([
      'verify',
      '-purpose',
      'sslserver',
      '-verify_hostname',
      'localhost',
      '-CAfile',
      file('ca.crt'),
      '-untrusted',
      file('issuing.crt'),
      file('server.crt'),
    ]),
    /OK/,
  )
  const issuing = openssl(['x509', '-noout', '-text', '-in', file('issuing.crt')])
  assert.match(issuing, /CA:TRUE, pathlen:0/)
  assert.match(issuing, /Certificate Sign/)
  const server = openssl(['x509', '-noout', '-text', '-in', file('server.crt')])
  assert.match(server, /TLS Web Server Authentication/)
  assert.doesNotMatch(server, /TLS Web Client Authentication/)
  for (const name of ['DNS:localhost', 'IP Address:127.0.0.1', 'IP Address:0:0:0:0:0:0:0:1']) {
    assert.ok(server.includes(name), name)
  }
  assert.equal(readFileSync(file('server.crt'), 'utf8').match(/BEGIN CERTIFICATE/g)?.length, 2)
})

test('a second start finds everything and changes nothing', async () => {
  using folder = temporaryDirectory()
  await startAndStop(folder.path)
  const before = { hashes: hashes(folder.path), rows: rowCounts(folder.path) }
  await startAndStop(folder.path)
  assert.deepEqual({ hashes: hashes(folder.path), rows: rowCounts(folder.path) }, before)
})

test('a start that was interrupted after any step is finished by the next one', async t => {
  // The order in which lastingFiles appear: whatever is later than the interruption is not there yet.
  const order = [
    'keys/root.key',
    'ca.crt',
    'keys/issuing.key',
    'issuing.crt',
    'admin.token',
    'keys/server.key',
    'server.crt',
  ]
  for (const [index, last] of order.entries()) {
    await t.test(`after ${last}`, async () => {
      using folder = temporaryDirectory()
      await startAndStop(folder.path)
      const before = hashes(folder.path)
      const kept = order.slice(0, index + 1)
      for (const file of order.slice(index + 1)) rmSync(join(folder.path, file))
      // Before the issuing certificate exists, the registry has no issuer yet.
      if (index < order.indexOf('issuing.crt')) emptyRegistry(folder.path, kept.includes('ca.crt'))
      await startAndStop(folder.path)
      const after = hashes(folder.path)
      for (const file of kept) assert.equal(after[file], before[file], `${file} stays`)
      assert.equal(rowCounts(folder.path)['issuers'], 2)
      assert.match(
        openssl([
          'verify',
          '-CAfile',
          join(folder.path, 'ca.crt'),
          '-untrusted',
          join(folder.path, 'issuing.crt'),
          join(folder.path, 'server.crt'),
        ]),
        /OK/,
      )
      assert.equal(readdirSync(folder.path).filter(name => name.endsWith('.tmp')).length, 0)
    })
  }
})

/** A registry as it is before the CA's rows: made and migrated, and empty. */
function emptyRegistry(directory: string, hasRoot: boolean): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(directory, `registry.db${suffix}`), { force: true })
  if (hasRoot) writeFileSync(join(directory, 'registry.db'), '', { mode: 0o600 })
}

test('kill -9 in the middle of first starts leaves a directory that the next start finishes', async () => {
  using folder = temporaryDirectory()
  const program = `
    import { createProvisioning } from ${JSON.stringify(new URL('../../provisioning/index.ts', import.meta.url).href)}
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    let renames = Number(process.argv[2])
    const rename = fs.renameSync
    fs.renameSync = (...names) => { if (renames-- === 0) process.kill(process.pid, 'SIGKILL'); rename(...names) }
    syncBuiltinESMExports()
    const service = await createProvisioning({ data: process.argv[1], host: '127.0.0.1', apiPort: 0, sans: [], log: 'silent' })
    await service.close()`
  let killed = 0
  // Every round lets one more file through and dies at the next one.
  for (let round = 0; round < lastingFiles.length; round += 1) {
    try {
      execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program, folder.path, '1'], {
        stdio: 'pipe',
      })
    } catch (error) {
      assert.equal((error as { signal?: string }).signal, 'SIGKILL', String(error))
      killed += 1
    }
  }
  assert.ok(killed >= 5, `${killed} starts were killed`)
  await startAndStop(folder.path)
  assert.equal(rowCounts(folder.path)['issuers'], 2)
  assert.deepEqual(
    readdirSync(folder.path).filter(name => name.endsWith('.tmp')),
    [],
  )
})

test('threat 25: keys, token and database are 0600 and directories 0700, also where a backup was looser', async () => {
  using folder = temporaryDirectory()
  const directory = join(folder.path, 'data')
  const mode = (file: string) => (statSync(join(directory, file)).mode & 0o777).toString(8)
  const secret = ['admin.token', 'registry.db', 'keys/root.key', 'keys/issuing.key', 'keys/server.key']
  await startAndStop(directory)
  for (const file of secret) assert.equal(mode(file), '600', file)
  assert.equal(mode('.'), '700')
  assert.equal(mode('keys'), '700')
  for (const file of secret) chmodSync(join(directory, file), 0o644)
  chmodSync(join(directory, 'keys'), 0o755)
  await startAndStop(directory)
  for (const file of secret) assert.equal(mode(file), '600', file)
  assert.equal(mode('keys'), '700')
})

test('the default policies are ones that the policy room accepts, attached as they say', async () => {
  await using service = await startService()
  const registry = openForReading(join(service.directory, 'registry.db'))
  const lookup = preparePolicyLookup(registry)
  await service.call('POST', '/v1/devices', { id: 'server-1', groups: ['backend'] })
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const names = (id: string) =>
    lookup(id, null)
      .policies.map(policy => policy.name)
      .sort()
  assert.deepEqual(names('pump-1'), ['default'])
  assert.deepEqual(names('server-1'), ['backend', 'default'])
  for (const { document } of lookup('server-1', null).policies) {
    assert.ok('policy' in parsePolicy(JSON.parse(document)), document)
  }
  await closeRegistry(registry)
})

test('each kind of CA key signs certificates that openssl verifies', async t => {
  for (const type of ['p384', 'rsa', 'ed25519'] as const) {
    await t.test(type, async () => {
      await using service = await startService({ keyTypes: { root: type, issuing: type } })
      const issued = await service.enroll('pump-1')
      const leaf = join(service.directory, 'leaf.pem')
      writeFileSync(leaf, issued.certificate)
      assert.match(
        openssl([
          'verify',
          '-CAfile',
          join(service.directory, 'ca.crt'),
          '-untrusted',
          join(service.directory, 'issuing.crt'),
          leaf,
        ]),
        /OK/,
      )
      const key = createPrivateKey(readFileSync(join(service.directory, 'keys/issuing.key')))
      const registry = openForReading(join(service.directory, 'registry.db'))
      const issuer = readIssuers(registry).get(issued.issuerId)
      await closeRegistry(registry)
      assert.equal(issuer?.certificate.checkPrivateKey(key), true)
      assert.equal(new X509Certificate(issued.certificate).verify(issuer!.certificate.publicKey), true)
    })
  }
})

test('left-over temporary lastingFiles of a killed start are swept', async () => {
  using folder = temporaryDirectory()
  mkdirSync(join(folder.path, 'keys'), { recursive: true })
  writeFileSync(join(folder.path, 'keys/.root.key.0123456789ab.tmp'), 'half a key')
  await startAndStop(folder.path)
  assert.deepEqual(
    readdirSync(join(folder.path, 'keys')).filter(name => name.endsWith('.tmp')),
    [],
  )
})
