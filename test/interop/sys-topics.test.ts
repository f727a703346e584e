// The broker's figures read by mosquitto_sub, beside those that mosquitto itself publishes: the same names.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { it } from 'node:test'
import { until } from '../cli/running.ts'
import { enroll } from '../e2e/devices.ts'
import { asDevice, run, start } from '../e2e/mosquitto.ts'
import { scratch, startSystem } from '../e2e/system.ts'

const READ = ['-t', '$SYS/broker/#', '-W', '3', '-F', '%t|%r|%p']

it('gives mosquitto_sub figures by the names that mosquitto gives them, to whom a policy opens them', async () => {
  using world = scratch()
  const env = { ROLLCALL_BROKER_SYS_INTERVAL_MS: '500' }
  await using system = await startSystem(world.at('data'), { env })
  const operator = await enroll(system.api, world.path, 'ops')
  const device = await enroll(system.api, world.path, 'd1')
  const file = world.at('figures.json')
  const statements = [{ effect: 'allow', actions: ['subscribe'], topics: ['$SYS/broker/#'] }]
  writeFileSync(file, JSON.stringify({ name: 'figures', statements }))
  for (const step of [
    ['apply', file],
    ['attach', 'figures', '--device', 'ops'],
  ])
    assert.equal((await system.run('policy', ...step)).code, 0)
  const publish = ['-t', 'devices/d1/t', '-m', 'counted', '-q', '1']
  assert.equal((await run('mosquitto_pub', [...asDevice(system.mqttsPort, device), ...publish])).code, 0)

  const [ours, theirs] = await Promise.all([
    run('mosquitto_sub', [...asDevice(system.mqttsPort, operator), ...READ]),
    figuresOfMosquitto(world.at('mosquitto.conf')),
  ])
  const named = namesIn(theirs)
  assert.equal(namesIn(ours.output).size, 48, ours.output)
  assert.deepEqual(
    [...namesIn(ours.output)].filter(name => !named.has(name)),
    [],
  )
  assert.match(ours.output, /^\$SYS\/broker\/publish\/messages\/received\|[01]\|1$/m)
  assert.match(ours.output, /^\$SYS\/broker\/publish\/bytes\/received\|[01]\|7$/m)
  assert.match(ours.output, /^\$SYS\/broker\/uptime\|0\|\d+ seconds$/m, 'published again and again')
  const refused = await run('mosquitto_sub', [...asDevice(system.mqttsPort, device), ...READ])
  assert.match(refused.output, /denied/i)
})

async function figuresOfMosquitto(configuration: string): Promise<string> {
  const port = await freePort()
  const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'sys_interval 1', 'user root']
  writeFileSync(configuration, `${lines.join('\n')}\n`)
  const server = start('mosquitto', ['-c', configuration])
  try {
    const flags = ['-h', '127.0.0.1', '-p', String(port)]
    await until(
      async () => (await run('mosquitto_pub', [...flags, '-t', 'x', '-n'])).code === 0,
      'mosquitto listens',
    )
    return (await run('mosquitto_sub', [...flags, ...READ])).output
  } finally {
    await server.stop()
  }
}

function namesIn(output: string): Set<string> {
  return new Set([...output.matchAll(/^(\$SYS\/[^|]*)\|/gm)].map(([, name = '']) => name))
}

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
