// kill -9 of the service between an order and its certificate: nothing is half done, and the client's next run gets one certificate for its key.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { makeCsr, type Service, startService, temporaryDirectory } from '../harness.ts'
import { bindingFor, createAcmeClient, newKey } from './acme-client.ts'

const fixture = new URL('../fixtures/serving.ts', import.meta.url).pathname

/** The service in a process of its own, which can be killed. */
async function startProcess(directory: string): Promise<{ child: ChildProcess; service: Service }> {
  const child = spawn(process.execPath, [fixture, directory, '50'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [url] = (await once(child.stdout!, 'data', { signal: AbortSignal.timeout(20_000) })) as [Buffer]
  const ca = readFileSync(join(directory, 'ca.crt'), 'utf8')
  return { child, service: { url: url.toString().trim(), ca } as Service }
}

test('kill -9 between order and certificate: the account goes on, and its key gets one certificate', async () => {
  using folder = temporaryDirectory()
  const first = await startService({ data: folder.path })
  const binding = await bindingFor(first, { group: 'g' })
  await first[Symbol.asyncDispose]()
  const key = newKey()
  const request = makeCsr('p256')
  let path = ''
  // Before the request for the certificate, and at moments of its decision.
  for (const afterMs of [null, 0, 3, 6, 10, 20]) {
    const { child, service } = await startProcess(folder.path)
    try {
      const client = await createAcmeClient(service, key)
      if (path === '') {
        assert.equal((await client.register(binding)).status, 201)
        path = new URL(client.account()).pathname
      }
      client.use(service.url + path)
      const order = await client.order('gateway-1')
      assert.equal(order.body.status, 'ready', order.bytes.toString())
      const answered = afterMs === null ? null : client.finalize(order, request.csr).catch(() => null)
      if (afterMs !== null) await setTimeout(afterMs)
      child.kill('SIGKILL')
      await answered
    } finally {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
  }
  await using service = await startService({ data: folder.path })
  const client = await createAcmeClient(service, key)
  client.use(service.url + path)
  const { chain } = await client.certificate('gateway-1', request)
  assert.match(chain, /BEGIN CERTIFICATE/)
  const { items } = (await service.call('GET', '/v1/certificates?deviceId=gateway-1')).body
  assert.equal(items.length, 1, 'one certificate, however often it was asked for')
  assert.equal((await service.call('GET', '/v1/audit/verification')).body.intact ?? true, true)
})
