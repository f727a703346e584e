// A snapshot by the command line, of the registry of a service that runs.
import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { auditKeys } from '../../../db/audit/audit-checkpoint.ts'
import { openSnapshot } from '../../../db/replication/snapshot-file.ts'
import { startPostgres } from '../../harness/postgres.ts'
import { startService, temporaryDirectory } from '../../provisioning/harness.ts'
import { rollcallHere } from '../in-process.ts'

test('a snapshot is made beside a running service, signed by its audit key, and never over another file', async () => {
  const server = await startPostgres()
  try {
    using directory = temporaryDirectory()
    using another = temporaryDirectory()
    const data = directory.path
    await using service = await startService({ data, registry: server.url })
    await service.enroll('d1')
    const out = join(data, 'registry.snapshot')
    const snapshot = (from = data) =>
      rollcallHere(
        'registry',
        'snapshot',
        ...['--data', from, '--registry', server.url, '--out', out],
        '-o',
        'json',
      )
    const keyless = await snapshot(another.path)
    assert.equal(keyless.code, 1)
    assert.match(keyless.stderr, /there is no key .*audit\.key/)
    const made = await snapshot()
    assert.equal(made.code, 0, made.stderr)
    assert.equal(JSON.parse(made.stdout).file, out)
    assert.equal(statSync(out).mode & 0o777, 0o600)
    const keys = auditKeys(readFileSync(join(data, 'audit.pub'), 'utf8'))
    const { facts } = openSnapshot(out, { keys, now: Date.now(), ageMaxMs: 60_000 })
    assert.equal(facts.group.sequence, JSON.parse(made.stdout).group)
    const again = await snapshot()
    assert.equal(again.code, 1)
    assert.match(again.stderr, /is there already/)
  } finally {
    await server.close()
  }
})
