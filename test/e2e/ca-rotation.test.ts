// An issuing CA is rotated while devices come, go and renew: nobody is refused in the overlap, and the old CA's
// certificates open nothing after the cut-off. The root is offline, as it should be.
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { makeKey, makeRequest } from '../../cli/enrollment/key-pair.ts'
import { createSelfClient } from '../../client/self.ts'
import { until } from '../cli/running.ts'
import { type Credentials, type Device, enroll, enrollMany, knock, stay } from './devices.ts'
import { type System, scratch, startSystem } from './system.ts'

type Ca = { issuing: { id: string; current: boolean; devices: number }[] }

describe('rotating the issuing CA under load', () => {
  const world = scratch()
  const passphrase = world.at('passphrase')
  const root = world.at('root.pem')
  const ids = Array.from({ length: 8 }, (_, at) => `sensor-${at}`)
  let system: System
  let devices: Device[]
  /** What each device holds now; it renews as a device does. */
  const held = new Map<string, Credentials>()
  const former = new Map<string, Credentials>()
  const seen: string[] = []
  let coming = true
  let load: Promise<void>[] = []
  const status = () => system.ask<Ca>('ca', 'rotate', '--status')

  before(async () => {
    writeFileSync(passphrase, 'a passphrase of some length\n', { mode: 0o600 })
    system = await startSystem(world.at('data'))
    devices = await enrollMany(system, world.path, ids)
    for (const device of devices) {
      held.set(device.id, device)
      former.set(device.id, device)
    }
    load = ids.map(async id => {
      while (coming) {
        const credentials = held.get(id)
        if (credentials !== undefined) seen.push(await knock(system.mqttsPort, id, credentials))
      }
    })
  })
  after(async () => {
    coming = false
    await Promise.all(load)
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  async function renew(id: string): Promise<void> {
    const { certificate, key } = held.get(id)!
    const client = createSelfClient({ api: system.ready.api, ca: devices[0]!.ca, certificate, key })
    try {
      await until(async () => (await client.show()).renewal.open, `${id} is told to renew`)
      const next = await makeKey('p256')
      const issued = await client.renew({ csr: await makeRequest(id, next, 'p256') })
      assert.ok('certificate' in issued, `${id} waits for an operator`)
      held.set(id, { key: next, certificate: [issued.certificate, ...issued.chain].join('') })
    } finally {
      client.close()
    }
  }

  it('is done with a root that was taken offline, and issues at once', async () => {
    const out = await system.run('ca', 'export-root', root, '--passphrase-file', passphrase, '--remove')
    assert.equal(out.code, 0, out.stderr)
    assert.equal(existsSync(world.at('data', 'keys', 'root.key')), false)
    const without = await system.run('ca', 'rotate')
    assert.equal(without.code, 1)
    assert.match(without.stderr, /root[\s\S]*hint: .*--root-key/)
    const flags = ['--root-key', root, '--root-passphrase-file', passphrase, '--over', '2s']
    const { issuing } = await system.ask<Ca>('ca', 'rotate', ...flags)
    assert.deepEqual(
      issuing.map(({ current, devices }) => [current, devices]),
      [
        [true, 0],
        [false, ids.length],
      ],
    )
    const fresh = await enroll(system.api, world.path, 'fresh')
    assert.equal(await knock(system.mqttsPort, 'fresh', fresh), 'connack 0')
  })

  it('lets every device renew in its turn, and counts those that are left', async () => {
    await Promise.all(ids.map(renew))
    await until(async () => (await status()).issuing[1]?.devices === 0, 'nobody is left')
    assert.equal((await status()).issuing[0]?.devices, ids.length + 1)
  })

  it('refused nobody all the while', async () => {
    await until(() => seen.length > ids.length * 4, 'each came a few times')
    assert.deepEqual([...new Set(seen)], ['connack 0'])
  })

  it('refuses the old certificates after the cut-off, and cuts devices connected with one', async () => {
    const id = ids[0]!
    coming = false
    await Promise.all(load)
    const session = await stay(system.mqttsPort, id, former.get(id)!)
    const old = (await status()).issuing[1]!.id
    const receipt = await system.ask<{ sessionsCut: number }>('ca', 'retire', old)
    assert.equal(receipt.sessionsCut, 1)
    await session.closed
    for (const [name, credentials] of former)
      assert.equal(await knock(system.mqttsPort, name, credentials), 'connack 5')
    for (const [name, credentials] of held)
      assert.equal(await knock(system.mqttsPort, name, credentials), 'connack 0')
  })
})
