// Requests with keys against a service that is killed at any moment: asked again, each is done once, and answered.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry } from '../../../db/index.ts'
import { openForReading } from '../../../db/open.ts'
import { temporaryDirectory } from '../harness.ts'

const LOOPS = 3
const REQUESTS = 40

async function serve(data: string): Promise<{ child: ChildProcess; url: string }> {
  const fixture = new URL('../fixtures/serving.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [fixture, data, '10'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout!, 'data')
  return { child, url: String(line).trim() }
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** The status and body, or null where the connection ended first. */
function post(agent: Agent, url: string, token: string, key: string, body: object) {
  return new Promise<{ status: number; text: string } | null>(resolve => {
    const outgoing = request(url, {
      method: 'POST',
      agent,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'idempotency-key': key,
      },
    })
    outgoing.on('error', () => resolve(null))
    outgoing.on('response', async response => {
      let text = ''
      try {
        for await (const part of response.setEncoding('utf8')) text += part
        resolve({ status: response.statusCode ?? 0, text })
      } catch {
        resolve(null)
      }
    })
    outgoing.end(JSON.stringify(body))
  })
}

test('over kills at any moment, every request with a key is done once, and answered once more', async () => {
  using folder = temporaryDirectory()
  let { child, url } = await serve(folder.path)
  const token = readFileSync(join(folder.path, 'admin.token'), 'utf8').trim()
  const agent = new Agent({
    ca: readFileSync(join(folder.path, 'ca.crt')),
    keepAlive: true,
    maxSockets: 8,
  })
  let answered = 0
  let lost = 0
  for (let loop = 0; loop < LOOPS; loop += 1) {
    const orders = Array.from({ length: REQUESTS }, (_, index) => ({ id: `d-${loop}-${index}` }))
    const killed = Promise.withResolvers<void>()
    // Killed after so many answers, a different number each time: the others are anywhere on their way.
    let left = 3 + loop * 13
    const before = await Promise.all(
      orders.map(async order => {
        const answer = await post(agent, `${url}/v1/devices`, token, order.id, order)
        if (answer !== null && --left === 0) void kill(child).then(killed.resolve)
        return answer
      }),
    )
    await killed.promise
    answered += before.filter(answer => answer !== null).length
    lost += before.filter(answer => answer === null).length

    ;({ child, url } = await serve(folder.path))
    const after = await Promise.all(
      orders.map(order => post(agent, `${url}/v1/devices`, token, order.id, order)),
    )
    for (const [index, answer] of after.entries()) {
      assert.equal(answer?.status, 201, answer?.text ?? 'no answer')
      if (before[index] != null) assert.equal(answer?.text, before[index].text)
    }
  }
  agent.destroy()
  await kill(child)
  assert.ok(answered > 0 && lost > 0, `${answered} answered, ${lost} lost`)

  const reading = openForReading(join(folder.path, 'registry.db'))
  const rows = reading.sqlite.prepare<[], { target: string; times: number }>(
    `SELECT target, count(*) AS times FROM audit WHERE action = 'device.add' GROUP BY target`,
  )
  const added = rows.all()
  assert.equal(added.length, LOOPS * REQUESTS)
  assert.ok(added.every(({ times }) => times === 1))
  await closeRegistry(reading)
})
