// Every program of examples/, run as its README says: devices are heard by the consumer, obey a command, and the operator's script
// replaces a certificate so that the old one is refused.
import assert from 'node:assert/strict'
import { mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { repository } from '../cli/running.ts'
import { enroll, knock } from './devices.ts'
import { asDevice, run, start } from './mosquitto.ts'
import { scratch, startSystem } from './system.ts'

const examples = join(repository, 'examples')

describe('the examples', () => {
  it('connect, are heard by the consumer, obey commands, and lose a certificate to the operator', async () => {
    using world = scratch()
    await using system = await startSystem(world.at('data'))
    const backend = await enroll(system.api, world.path, 'backend-1', { groups: ['backend'] })
    const commander = await enroll(system.api, world.path, 'backend-2', { groups: ['backend'] })
    const compiled = world.at('device-c')
    const compiler = await run('cc', [
      '-Wall',
      '-Wextra',
      '-Werror',
      '-o',
      compiled,
      join(examples, 'device-c/device.c'),
      '-lmosquitto',
    ])
    assert.equal(compiler.code, 0, compiler.output)

    const settings = `export ROLLCALL_PORT=${system.mqttsPort} ROLLCALL_DATA="${system.data}"`
    const shell = (command: string) => start('bash', ['-c', `${settings}\nexec ${command}`])
    const node = (file: string) => `"${process.execPath}" "${join(examples, file)}"`
    const devices: Record<string, string> = {
      'sensor-python': `/usr/bin/python3 "${join(examples, 'device-python/device.py')}"`,
      'sensor-node': node('device-node/device.mjs'),
      'sensor-c': `"${compiled}"`,
    }

    const consumer = shell(
      `${node('backend-consumer/consumer.mjs')} "${world.at('backend-1')}" ${backend.id}`,
    )
    await consumer.printed('connected, a new session')
    for (const [id, program] of Object.entries(devices)) {
      await enroll(system.api, world.path, id)
      const device = shell(`${program} "${world.at(id)}" ${id}`)
      await device.printed('connected')
      await consumer.printed(new RegExp(`\\{"device":"${id}","temperature":\\d+(\\.\\d)?\\}`))
      const command = ['-t', `devices/${id}/commands/blink`, '-q', '1', '-m', 'twice']
      const sent = await run('mosquitto_pub', [...asDevice(system.mqttsPort, commander), ...command])
      assert.equal(sent.code, 0, sent.output)
      await device.printed('command blink: twice')
      await device.stop('SIGKILL')
    }
    await consumer.stop('SIGKILL')
    const again = shell(`${node('backend-consumer/consumer.mjs')} "${world.at('backend-1')}" ${backend.id}`)
    await again.printed('connected, the session was kept')
    await again.stop('SIGKILL')

    const commands = mkdtempSync(world.at('bin-'))
    writeFileSync(
      join(commands, 'rollcall'),
      `#!/bin/sh\nexec "${process.execPath}" "${join(repository, 'cli/main.ts')}" "$@"\n`,
      { mode: 0o755 },
    )
    symlinkSync(process.execPath, join(commands, 'node'))
    const old = await enroll(system.api, world.path, 'sensor-lost')
    assert.equal(await knock(system.mqttsPort, old.id, old), 'connack 0')
    const script = join(examples, 'operator-script/replace-certificate.sh')
    const replaced = await run('bash', [
      '-c',
      `${settings}\nexport PATH="${commands}:$PATH"\n"${script}" sensor-lost "${world.at('replaced')}"`,
    ])
    assert.equal(replaced.code, 0, replaced.output)
    assert.match(replaced.output, /1 of 1 brokers acknowledged/)
    assert.equal(await knock(system.mqttsPort, old.id, old), 'connack 5')
  })
})
