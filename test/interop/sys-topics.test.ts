// The broker's figures read by mosquitto_sub, beside those that mosquitto itself publishes: the same names.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { it } from 'node:test'
import { until } from '../cli/running.ts'
import { enroll } from '../e2e/devices.ts'
import { asDevice, run, start } from '../e2e/mosquitto.ts'
import { startMosquitto } from '../e2e/mosquitto-server.ts'
import { scratch, startSystem } from '../e2e/system.ts'

const READ = ['-t', '$SYS/broker/#', '-F', '%t|%r|%p']
/** Beside them 3 figures of versions of MQTT, which mosquitto does not have. */
const OURS = 48
const ALONE = /\/clients\/connected\/mqtt\//

it('gives mosquitto_sub figures under mosquitto’s names, if a policy allows it', async () => {
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

  const counted = [
    /^\$SYS\/broker\/publish\/messages\/received\|[01]\|1$/m,
    /^\$SYS\/broker\/publish\/bytes\/received\|[01]\|7$/m,
    // Published again and again.
    /^\$SYS\/broker\/uptime\|0\|\d+ seconds$/m,
  ]
  const ours = await figures(
    asDevice(system.mqttsPort, operator),
    output => namesIn(output).size >= OURS + 3 && counted.every(line => line.test(output)),
  )
  const names = [...namesIn(ours)].filter(name => !ALONE.test(name))
  assert.equal(names.length, OURS, ours)
  const configuration = (port: number) => {
    const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'sys_interval 1', 'user root']
    writeFileSync(world.at('mosquitto.conf'), `${lines.join('\n')}\n`)
    return world.at('mosquitto.conf')
  }
  const at = (port: number) => ['-h', '127.0.0.1', '-p', String(port)]
  await using theirs = await startMosquitto(
    configuration,
    async port => (await run('mosquitto_pub', [...at(port), '-t', 'x', '-n'])).code === 0,
  )
  // Theirs has each of ours.
  await figures(at(theirs.port), output => {
    const named = namesIn(output)
    return names.every(name => named.has(name))
  })
  const refused = await run('mosquitto_sub', [...asDevice(system.mqttsPort, device), ...READ])
  assert.match(refused.output, /denied/i)
})

/** What mosquitto_sub has printed once it is what is looked for. */
async function figures(flags: readonly string[], holds: (output: string) => boolean): Promise<string> {
  const reader = start('stdbuf', ['-oL', 'mosquitto_sub', ...flags, ...READ])
  try {
    await until(() => holds(reader.output()), 'the figures are there')
    return reader.output()
  } finally {
    await reader.stop()
  }
}

function namesIn(output: string): Set<string> {
  return new Set([...output.matchAll(/^(\$SYS\/[^|]*)\|/gm)].map(([, name = '']) => name))
}
