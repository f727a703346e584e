// PostgreSQL answers one of two nodes late, then not at all: nothing acknowledged is lost, QoS 2 comes once, a revocation holds meanwhile,
// and the sessions of the node that is cut off go on at the other.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { clientAt, createNodes } from '../broker/cluster/nodes.ts'
import { until } from '../cli/running.ts'
import { returningClient } from '../harness/broker.ts'
import { gone } from '../harness/inbox.ts'
import { tester } from '../harness/roll.ts'
import { length } from './length.ts'

const LATE_MS = 100
const MESSAGES = length(6, 200)

test('PostgreSQL is slow for one node, and then cut off from it', async () => {
  await using nodes = await createNodes({ durable: true })
  const { port } = new URL(nodes.postgres.url)
  const proxy = await startLateProxy(Number(port))
  try {
    const far = await nodes.start('far', {}, nodes.postgres.url.replace(`:${port}`, `:${proxy.port}`))
    const near = await nodes.start('near')
    const [reader, victim] = [await nodes.backend('reader'), await nodes.roll.enroll('victim')]
    const first = await clientAt(far, 'reader', reader, { clean: false })
    await first.client.subscribeAsync('devices/slow/#', { qos: 2 })
    const publishers = [
      await clientAt(far, 'p0', await nodes.backend('p0')),
      await clientAt(near, 'p1', await nodes.backend('p1')),
    ]
    const revoked = await clientAt(far, 'victim', victim)
    const sent = publishers.map(async ({ client }, place) => {
      for (let n = 0; n < MESSAGES; n += 1)
        await client.publishAsync(`devices/slow/${place}`, `${place}-${n}`, { qos: 2 })
    })
    await nodes.roll.writer.revokeCertificate(victim.fingerprint, 'keyCompromise', tester)
    await gone(revoked.client)
    for (const node of [far, near]) await assert.rejects(clientAt(node, 'victim', victim))
    await Promise.all(sent)
    await until(async () => first.inbox.all.length >= 2 * MESSAGES, 'all came')
    const payloads = first.inbox.all.map(({ payload }) => payload)
    for (const place of [0, 1])
      assert.deepEqual(
        payloads.filter(text => text.startsWith(`${place}-`)),
        Array.from({ length: MESSAGES }, (_, n) => `${place}-${n}`),
      )
    proxy.close()
    const cutAt = performance.now()
    await publishers[1]!.client.publishAsync('devices/slow/1', 'after', { qos: 2 })
    await until(async () => {
      const back = await returningClient(near, 'reader', reader).catch(() => null)
      if (back === null) return false
      assert.equal(back.sessionPresent, true)
      if (!first.inbox.all.some(({ payload }) => payload === 'after')) await back.inbox.message('after')
      await back.client.endAsync()
      return true
    }, 'the other node has the session')
    console.log(`served by the other node after ${Math.round(performance.now() - cutAt)} ms`)
    for (const { client } of [first, ...publishers]) client.end(true)
  } finally {
    proxy.close()
  }
})

/** Each octet passes so much later, in order. Closed, it ends all connections and takes no more. */
async function startLateProxy(to: number) {
  const sockets = new Set<Socket>()
  const server = createServer(client => {
    const upstream = connect(to, '127.0.0.1')
    for (const [from, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('data', data => void setTimeout(() => other.write(data), LATE_MS))
      from.on('close', () => {
        sockets.delete(from)
        other.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    close(): void {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
