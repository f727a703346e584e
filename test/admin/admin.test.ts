// The loopback room for health and metrics, over real HTTP.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { type AdminOptions, createAdminServer } from '../../admin/index.ts'

describe('the admin server', () => {
  it('is alive always, and ready only when nothing is missing', async () => {
    const missing = ['broker does not accept yet']
    await using server = await started({ missing: () => missing })
    assert.equal((await get(`${server.url}/livez`)).status, 200)
    const notYet = await get(`${server.url}/readyz`)
    assert.equal(notYet.status, 503)
    assert.match(notYet.body, /broker does not accept yet/)
    missing.pop()
    assert.equal((await get(`${server.url}/readyz`)).status, 200)
  })

  it('hands out metrics in the Prometheus text format', async () => {
    await using server = await started({ metrics: async () => 'rollcall_things_total 1\n' })
    const { status, body, type } = await get(`${server.url}/metrics?name=x`)
    assert.equal(status, 200)
    assert.equal(body, 'rollcall_things_total 1\n')
    assert.match(type, /^text\/plain; version=0\.0\.4/)
  })

  it('answers 503 where metrics fail, and lives on', async () => {
    await using server = await started({ metrics: () => Promise.reject(new Error('gone')) })
    assert.equal((await get(`${server.url}/metrics`)).status, 503)
    assert.equal((await get(`${server.url}/livez`)).status, 200)
  })

  it('knows three paths and one method, and names inherited by objects are no paths', async () => {
    await using server = await started({})
    for (const path of ['/', '/v1/devices', '/metrics/', '/__proto__', '/constructor', '//livez']) {
      assert.equal((await get(`${server.url}${path}`)).status, 404, path)
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'HEAD']) {
      assert.equal((await get(`${server.url}/livez`, method)).status, 405, method)
    }
  })

  it('says what to do where its port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise(resolve => taken.once('listening', resolve))
    const { port } = taken.address() as { port: number }
    await assert.rejects(started({ port }), { message: new RegExp(`port ${port} .* in use: .*--admin-port`) })
    taken.close()
  })

  it('closes at once, whatever is connected', async () => {
    const server = await started({})
    const agentless = request(`${server.url}/livez`, { headers: { connection: 'keep-alive' } })
    agentless.on('error', () => {})
    await new Promise(resolve => agentless.once('response', resolve).end())
    await server.close()
    await assert.rejects(get(`${server.url}/livez`))
  })
})

async function started(options: Partial<AdminOptions>) {
  const server = await createAdminServer({
    host: '127.0.0.1',
    port: 0,
    missing: () => [],
    metrics: async () => '',
    ...options,
  })
  return { ...server, [Symbol.asyncDispose]: () => server.close() }
}

function get(url: string, method = 'GET'): Promise<{ status: number; body: string; type: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, timeout: 5_000 }, answer => {
      let body = ''
      answer.setEncoding('utf8').on('data', text => {
        body += text
      })
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, body, type: answer.headers['content-type'] ?? '' }),
      )
    })
    outgoing.on('error', reject).end()
  })
}
