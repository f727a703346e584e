// A connection to PostgreSQL that breaks before its answer is there: what was done all the same holds up nobody.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { startCuttingProxy } from '../../harness/cutting-proxy.ts'
import { clientAt, createNodes } from './nodes.ts'

it('a device whose claim of a session was done, and not answered, gets in at another node', async () => {
  await using nodes = await createNodes()
  const { port } = new URL(nodes.postgres.url)
  const proxy = await startCuttingProxy({ host: '127.0.0.1', port: Number(port) })
  try {
    const one = await nodes.start('one', {}, nodes.postgres.url.replace(`:${port}`, `:${proxy.port}`))
    const two = await nodes.start('two')
    const identity = await nodes.backend('claimed')
    proxy.cutNext('INSERT INTO rollcall_cluster.sessions', 'answer')
    await assert.rejects(clientAt(one, 'claimed', identity), /Server unavailable/)
    assert.equal(proxy.cuts(), 1)
    const { client } = await clientAt(two, 'claimed', identity)
    await client.endAsync()
  } finally {
    proxy.close()
  }
})
