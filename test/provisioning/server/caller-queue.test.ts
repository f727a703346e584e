// Callers take turns: one with any number of requests costs another no more than a turn.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { test } from 'node:test'
import fc from 'fast-check'
import { createCallerQueue } from '../../../provisioning/server/caller-queue.ts'
import { startService } from '../harness.ts'
import { imported } from '../jobs/uploads.ts'

const drained = <T>(queue: { next(): T | undefined }) => {
  const all: T[] = []
  for (let entry = queue.next(); entry !== undefined; entry = queue.next()) all.push(entry)
  return all
}

test('each caller has its turn, and its own entries in their order', () => {
  const queue = createCallerQueue<string>(100)
  for (const entry of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.add(entry[0]!, entry)
  assert.deepEqual(drained(queue), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
  assert.equal(queue.size(), 0)
})

test('where it is full the caller with most gives way, and nothing is lost unsaid', () => {
  const adds = fc.array(fc.constantFrom('a', 'a', 'a', 'b', 'c'), { maxLength: 60 })
  fc.assert(
    fc.property(adds, callers => {
      const queue = createCallerQueue<{ caller: string; at: number }>(8)
      const kept = new Map<string, number>()
      let dropped = 0
      for (const [at, caller] of callers.entries()) {
        kept.set(caller, (kept.get(caller) ?? 0) + 1)
        const gone = queue.add(caller, { caller, at })
        if (gone === null) continue
        dropped += 1
        assert.equal(kept.get(gone.caller), Math.max(...kept.values()))
        kept.set(gone.caller, kept.get(gone.caller)! - 1)
      }
      const left = drained(queue)
      assert.equal(left.length + dropped, callers.length)
      for (const caller of kept.keys()) {
        const own = left.filter(entry => entry.caller === caller).map(({ at }) => at)
        assert.deepEqual(
          own,
          [...own].sort((one, other) => one - other),
        )
      }
    }),
  )
})

test('a request is answered long before those that another caller sent earlier', async () => {
  await using service = await startService()
  await imported(
    service,
    Array.from({ length: 1_000 }, (_, index) => ({ deviceId: `d-${index}`, attributes: { n: `${index}` } })),
  )
  const made = await service.call('POST', '/v1/api-tokens', { name: 'eve', role: 'viewer' })
  const agent = new Agent({ ca: service.ca, keepAlive: true, maxSockets: 100 })
  let answered = 0
  const ask = async (): Promise<void> => {
    const headers = { authorization: `Bearer ${made.body.token}` }
    const outgoing = request(`${service.url}/v1/devices?limit=500&total=true`, { agent, headers }).end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    await response.resume().toArray()
    assert.equal(response.statusCode, 200)
    answered += 1
  }
  // Connections first, so that the flood comes at once.
  await Promise.all(Array.from({ length: 100 }, ask))
  await service.call('GET', '/v1/whoami')
  answered = 0
  const flood = Array.from({ length: 100 }, ask)
  // By then all of them have arrived, or are about to.
  await flood[0]
  const before = answered
  await service.call('GET', '/v1/whoami')
  const meanwhile = answered - before
  await Promise.all(flood)
  agent.destroy()
  assert.ok(meanwhile < 50, `${meanwhile} requests of another caller were answered before it`)
})
