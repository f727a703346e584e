// What happens to services and devices when processes die, are told to stop, or change their certificate.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { connect } from 'node:tls'
import mqtt, { type MqttClient } from 'mqtt'
import { lives, until } from '../cli/running.ts'
import { type Device, enroll, enrollMany, knock, stay } from './devices.ts'
import { processesNaming, type Service, type System, scratch, startSystem } from './system.ts'

describe('rollcall up under a watchful eye', () => {
  const world = scratch()
  let system: System
  before(async () => {
    system = await startSystem(world.at('data'), { env: { NODE_COMPILE_CACHE: undefined } })
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  it('answers for its health on the admin port, and tells there what it counts', async () => {
    assert.deepEqual(await system.admin('/livez'), { status: 200, text: 'ok\n' })
    assert.deepEqual(await system.admin('/readyz'), { status: 200, text: 'ready\n' })
    assert.equal(new URL(system.ready.admin).hostname, '127.0.0.1')
    assert.equal((await system.admin('/')).status, 404)
    assert.equal((await fetch(`${system.ready.admin}/livez`, { method: 'POST' })).status, 405)
    const before = await system.metric('rollcall_admissions_total')
    const device = await enroll(system.api, world.path, 'counted')
    assert.equal(await knock(system.mqttsPort, device.id, device), 'connack 0')
    assert.equal(await system.metric('rollcall_admissions_total'), before + 1)
    assert.equal(await system.metric('rollcall_service_up{service="broker"}'), 1)
  })

  it('starts a killed broker again on its port, and its devices come back', async () => {
    const ids = Array.from({ length: 20 }, (_, index) => `fleet-${index}`)
    const devices = await enrollMany(system, world.path, ids)
    const clients = await Promise.all(devices.map(device => comesBack(system, device)))
    const killed = system.childPid('broker')
    const back = clients.map(client => new Promise<void>(resolve => client.once('connect', () => resolve())))
    process.kill(killed, 'SIGKILL')
    await Promise.all(back)
    assert.notEqual(system.childPid('broker'), killed)
    assert.equal(await system.metric('rollcall_service_restarts_total{service="broker"}'), 1)
    assert.equal(await system.metric('rollcall_service_restarts_total{service="provisioning"}'), 0)
    await Promise.all(clients.map(client => client.endAsync(true)))
    await system.logged(/killed by SIGKILL/)
  })

  it('starts a killed provisioning service again without a device noticing', async () => {
    const device = await enroll(system.api, world.path, 'unmoved')
    const session = await stay(system.mqttsPort, device.id, device)
    const killed = system.childPid('provisioning')
    process.kill(killed, 'SIGKILL')
    await until(
      () =>
        system.api.call('GET', '/livez').then(
          answer => answer.status === 200,
          () => false,
        ),
      'the API is back',
    )
    assert.notEqual(system.childPid('provisioning'), killed)
    assert.equal(await session.lives(), true)
    const receipt = await system.api.call('POST', `/v1/certificates/${device.fingerprint}/revoke`, {})
    assert.deepEqual([receipt.status, receipt.body.sessionsCut], [200, 1])
    await session.closed
  })

  it('shows a renewed server certificate to new connections and drops no other', async () => {
    const device = await enroll(system.api, world.path, 'loyal')
    const session = await stay(system.mqttsPort, device.id, device)
    const former = await shown(system)
    // A lost certificate is due at once.
    rmSync(world.at('data', 'server.crt'))
    process.kill(system.childPid('provisioning'), 'SIGKILL')
    await until(
      async () => (await shown(system)).fingerprint256 !== former.fingerprint256,
      'the broker shows another',
    )
    const now = await shown(system)
    assert.ok(now.verify(issuing(system).publicKey))
    assert.ok(
      now.publicKey.equals(former.publicKey),
      'the key stays, so that clients that pinned it still trust it',
    )
    assert.equal(now.raw.equals(new X509Certificate(readFileSync(world.at('data', 'server.crt'))).raw), true)
    assert.equal(await session.lives(), true)
    session.end()
    const newcomer = await comesBack(system, device)
    await newcomer.endAsync(true)
  })

  it('leaves nobody behind when the supervisor itself is killed', async () => {
    const services = (['broker', 'provisioning'] as Service[]).map(system.childPid)
    assert.equal(await system.end('SIGKILL'), null)
    await until(() => !services.some(lives), 'both services are gone')
    await until(() => processesNaming(world.at('data')).length === 0, 'nor is anybody else there')
    system = await startSystem(world.at('data'))
  })

  it('drains on SIGTERM: answers what was asked, closes every session, ends with 0 and takes its word back', async () => {
    const devices = await enrollMany(system, world.path, ['last-1', 'last-2', 'last-3'])
    const sessions = await Promise.all(devices.map(({ id, ...device }) => stay(system.mqttsPort, id, device)))
    const { api } = system
    const asked = Array.from({ length: 20 }, (_, index) =>
      api.call('POST', '/v1/devices', { id: `late-${index}` }),
    )
    const answered = Promise.allSettled(asked)
    await Promise.race(asked)
    const began = performance.now()
    process.kill(system.pid, 'SIGTERM')
    const statuses = (await answered).map(result =>
      result.status === 'fulfilled' ? result.value.status : null,
    )
    assert.equal(await system.end(), 0)
    assert.ok(performance.now() - began < 10_000)
    await Promise.all(sessions.map(session => session.closed))
    assert.deepEqual(processesNaming(world.at('data')), [])
    for (const passing of ['endpoints.json', 'registry.db-wal', 'registry.db-shm'])
      assert.equal(
        existsSync(world.at('data', passing)),
        false,
        `${passing} is gone: one file holds the record`,
      )
    // Compiled code for the next start, where nobody else can put any.
    assert.equal(statSync(world.at('data', 'code-cache')).mode & 0o777, 0o700)
    system = await startSystem(world.at('data'))
    for (const [index, status] of statuses.entries()) {
      if (status !== null) assert.equal(status, 201)
      const kept = await system.api.call('GET', `/v1/devices/late-${index}`)
      if (status === 201) assert.equal(kept.status, 200)
    }
  })
})

/** A client that reconnects by itself, as devices do. */
function comesBack(system: System, device: Device): Promise<MqttClient> {
  const { certificate: cert, key, ca } = device
  const options = { clientId: device.id, cert, key, ca, reconnectPeriod: 100 }
  return mqtt.connectAsync(`mqtts://127.0.0.1:${system.mqttsPort}`, options)
}

/** The certificate that a new handshake is shown. */
function shown(system: System): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const ca = readFileSync(`${system.data}/ca.crt`)
    const socket = connect({ host: '127.0.0.1', port: system.mqttsPort, ca }, () => {
      const certificate = socket.getPeerX509Certificate()
      socket.destroy()
      if (certificate) resolve(certificate)
      else reject(new Error('no certificate was shown'))
    })
    socket.on('error', reject)
  })
}

function issuing(system: System): X509Certificate {
  return new X509Certificate(readFileSync(`${system.data}/issuing.crt`))
}
