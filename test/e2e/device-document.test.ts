// The code of docs/devices.md, run as it stands there: mosquitto, Python and Node are let in, heard, commanded, and told
// that they are refused once they are.
import assert from 'node:assert/strict'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { repository } from '../cli/running.ts'
import { blocksOf, onPorts } from '../harness/document.ts'
import { enroll } from './devices.ts'
import { asDevice, run, start, subscriber } from './mosquitto.ts'
import { type System, scratch, startSystem } from './system.ts'

/** The code blocks of a section, on this broker's port. */
function blocks(heading: string, language: string, { ready }: System): string[] {
  const found = blocksOf('docs/devices.md').filter(
    block => block.heading === heading && block.language === language,
  )
  assert.ok(found.length > 0, `${heading} has code`)
  return found.map(({ text }) => onPorts(text, ready))
}

describe('the code for devices', () => {
  it('enrolls, connects, publishes, hears a command, and says that it is refused', async () => {
    using world = scratch()
    await using system = await startSystem(world.at('data'))
    const port = system.mqttsPort
    const backend = await enroll(system.api, world.path, 'backend-1', { groups: ['backend'] })
    const heard = await subscriber(asDevice(port, backend), '-t', 'devices/+/temperature')
    const command = (payload: string) => {
      const where = ['-t', 'devices/sensor-1/commands/blink', '-q', '1', '-m', payload]
      return run('mosquitto_pub', [...asDevice(port, { ...backend, id: 'backend-1' }), ...where])
    }

    const rollcall = `rollcall() { "${process.execPath}" "${join(repository, 'cli/main.ts')}" "$@"; }\ncd "${world.path}"`
    const [enrolling = ''] = blocks('What every device needs', 'sh', system)
    const enrolled = await run('bash', ['-ec', `${rollcall}\n${enrolling}`])
    assert.equal(enrolled.code, 0, enrolled.output)
    const place = world.at('sensor-1')
    const shell = (text: string) => start('bash', ['-ec', `cd "${place}"\n${text}`])

    const [publish = '', wait = ''] = blocks('mosquitto', 'sh', system)
    const published = await shell(publish).ended
    assert.equal(published.code, 0, published.output)
    await heard.printed('devices/sensor-1/temperature|0|0|21.5')
    await heard.stop()
    // It does not say when it has subscribed, and ends with the first command that it gets.
    let ended = false
    const waiting = shell(wait).ended.finally(() => {
      ended = true
    })
    while (!ended) await command('one')
    assert.equal((await waiting).output.trim(), 'devices/sensor-1/commands/blink one')

    const [handshake = ''] = blocks('Other clients', 'sh', system)
    assert.match((await shell(handshake).ended).output, /Verification: OK/)

    writeFileSync(join(place, 'device.py'), blocks('Python', 'python', system)[0] ?? '')
    writeFileSync(join(place, 'device.mjs'), blocks('Node', 'js', system)[0] ?? '')
    symlinkSync(join(repository, 'node_modules'), join(place, 'node_modules'))
    for (const program of ['/usr/bin/python3 device.py', `"${process.execPath}" device.mjs`]) {
      const listener = await subscriber(asDevice(port, backend), '-t', 'devices/+/temperature')
      const device = shell(`exec ${program}`)
      await listener.printed('devices/sensor-1/temperature|0|0|21.5')
      await listener.stop()
      await command(program)
      await device.printed(`devices/sensor-1/commands/blink ${program}`)
      await system.ask('device', 'suspend', 'sensor-1', '-o', 'json')
      await device.printed(/refused: .*(5|Not authorized)/)
      await device.stop('SIGKILL')
      await system.ask('device', 'activate', 'sensor-1', '-o', 'json')
    }
  })
})
