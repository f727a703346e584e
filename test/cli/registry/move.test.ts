// A registry of one machine moves into PostgreSQL by the command line, and the service goes on there as it was.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startPostgres } from '../../harness/postgres.ts'
import { startService, temporaryDirectory } from '../../provisioning/harness.ts'
import { rollcallHere } from '../in-process.ts'

test('a registry moves with all its rows, once, and its services go on with --registry alone', async () => {
  const server = await startPostgres()
  try {
    using directory = temporaryDirectory()
    const data = directory.path
    const move = (from: string) =>
      rollcallHere('registry', 'move', '--data', from, '--to', server.url, '-o', 'json')
    {
      await using service = await startService({ data })
      await service.enroll('d1')
      assert.equal((await move(data)).code, 1, 'while the service runs')
    }
    const registry = join(data, 'registry.db')
    const before = readFileSync(registry)
    const moved = await move(data)
    assert.equal(moved.code, 0, moved.stderr)
    const { rows, auditRows } = JSON.parse(moved.stdout)
    assert.ok(rows > 20 && auditRows > 5, moved.stdout)
    assert.ok(readFileSync(`${registry}.moved`).equals(before))

    await assert.rejects(startService({ data }), /replica of a registry in PostgreSQL/)
    {
      await using service = await startService({ data, registry: server.url })
      assert.equal((await service.call('GET', '/v1/devices/d1')).status, 200)
      await service.enroll('d2')
      const { body } = await service.call('GET', '/v1/audit/verification')
      assert.equal(body.outcome, 'intact')
      assert.ok(body.rows > auditRows)
    }

    using another = temporaryDirectory()
    await (await startService({ data: another.path }))[Symbol.asyncDispose]()
    const refused = await move(another.path)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /holds a registry already/)
    assert.ok(!existsSync(join(another.path, 'registry.db.moved')))
    await (await startService({ data: another.path }))[Symbol.asyncDispose]()
  } finally {
    await server.close()
  }
})
