// Webhooks of a service that is killed again and again: every event that is on record arrives.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { until } from '../../harness/until.ts'
import { temporaryDirectory } from '../harness.ts'
import { startReceiver } from './receiver.ts'

test('over kill -9 of the service every event arrives, at least once', async () => {
  using folder = temporaryDirectory()
  let slow = true
  await using receiver = await startReceiver((_, response) => {
    if (!slow) response.end()
    else setTimeout(() => response.end(), 30)
  })
  const serve = async (): Promise<{ child: ChildProcess; url: string }> => {
    const fixture = new URL('../fixtures/serving.ts', import.meta.url).pathname
    const env = { ...process.env, ROLLCALL_WEBHOOK_PRIVATE_ADDRESSES: '1' }
    const child = spawn(process.execPath, [fixture, folder.path, '10'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    })
    const [line] = await once(child.stdout!, 'data')
    return { child, url: String(line).trim() }
  }
  let { child, url } = await serve()
  const token = readFileSync(join(folder.path, 'admin.token'), 'utf8').trim()
  const agent = new Agent({ ca: readFileSync(join(folder.path, 'ca.crt')), keepAlive: false })
  const post = (path: string, body?: object) =>
    new Promise<{ status: number; text: string } | null>(resolve => {
      const headers = {
        authorization: `Bearer ${token}`,
        ...(body ? { 'content-type': 'application/json' } : {}),
      }
      const outgoing = request(`${url}${path}`, { method: 'POST', agent, headers })
      outgoing.on('error', () => resolve(null))
      outgoing.on('response', async response => {
        let text = ''
        for await (const part of response.setEncoding('utf8')) text += part
        resolve({ status: response.statusCode ?? 0, text })
      })
      outgoing.end(body && JSON.stringify(body))
    })
  const made = await post('/v1/webhooks', { url: receiver.url, kinds: ['suspended'] })
  assert.equal(made!.status, 201, made!.text)
  receiver.keys.secret = JSON.parse(made!.text).secret
  const acknowledged: string[] = []
  for (let round = 0; round < 2; round += 1) {
    for (let index = 0; index < 15; index += 1) {
      const id = `d${round}-${index}`
      await post('/v1/devices', { id })
      if ((await post(`/v1/devices/${id}/suspend`))?.status === 200) acknowledged.push(id)
    }
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    ;({ child, url } = await serve())
  }
  slow = false
  try {
    const heard = () => new Set(receiver.taken.map(({ data }) => data.deviceId))
    await until(() => acknowledged.every(id => heard().has(id)))
    assert.equal(acknowledged.length, 30)
    assert.ok(receiver.taken.every(({ signed }) => signed))
    // Twice is allowed, under the same ID.
    const ids = new Map(receiver.taken.map(({ id, data }) => [data.deviceId, id]))
    assert.ok(receiver.taken.every(({ id, data }) => ids.get(data.deviceId) === id))
  } finally {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    agent.destroy()
  }
})
