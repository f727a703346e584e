// A whole Rollcall whose broker runs on Bun, with clients that are neither: mosquitto's, and Node's TLS.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { connect } from 'node:tls'
import { until } from '../cli/running.ts'
import { connectPacket } from '../harness/broker.ts'
import { asDevice, run, subscriber } from './mosquitto.ts'
import { type System, scratch, startSystem } from './system.ts'

type Receipt = { sessionsCut: number; nodesTotal: number; nodesAcknowledged: number }
type Enrolled = { fingerprint: string; files: { certificate: string; key: string; ca: string } }

for (const gates of [0, 2])
  describe(`the broker on Bun, ${gates} gates`, () => {
    const world = scratch()
    let system: System
    before(async () => {
      delete process.env['SSL_CERT_DIR'] // a directory that an operator names would stay
      system = await startSystem(world.at('data'), {
        flags: ['--broker-runtime', 'bun', '--gates', String(gates)],
      })
    })
    after(async () => {
      await system?.[Symbol.asyncDispose]()
      world[Symbol.dispose]()
    })

    async function enrolled(id: string, ...flags: string[]) {
      await system.ask('device', 'add', id, ...flags)
      const { fingerprint, files } = await system.ask<Enrolled>('device', 'enroll', id, '--out', world.at(id))
      return { id, fingerprint, files }
    }

    it('says so, in its log and its metrics', async () => {
      await system.logged(/"runtime":"bun".*passed the check/)
      const { text } = await system.admin('/metrics')
      assert.match(text, /rollcall_build_info\{process="broker",[^}]*runtime="bun [^}]*\} 1/)
      assert.match(text, /rollcall_build_info\{process="provisioning",[^}]*runtime="node [^}]*\} 1/)
    })

    it('does not look through the CAs of the system for those of devices', () => {
      const environment = readFileSync(`/proc/${system.childPid('broker')}/environ`, 'latin1').split('\0')
      assert.deepEqual(
        environment.filter(one => one.startsWith('SSL_CERT_DIR=')),
        ['SSL_CERT_DIR='],
      )
    })

    it('carries messages, keeps what it acknowledged over kill -9, and cuts a revoked device', async () => {
      const sensor = await enrolled('sensor-1')
      const backend = await enrolled('backend-1', '--group', 'backend')
      const kept = [...asDevice(system.mqttsPort, backend), '-t', 'devices/#', '-q', '1', '-c']
      assert.equal((await run('mosquitto_sub', [...kept, '-E'])).code, 0)
      const published = await run('mosquitto_pub', [
        ...asDevice(system.mqttsPort, sensor),
        ...['-t', 'devices/sensor-1/t', '-m', 'kept', '-q', '1'],
      ])
      assert.equal(published.code, 0)
      process.kill(system.childPid('broker'), 'SIGKILL')
      await system.logged(/service restarts/)
      await until(async () => (await system.admin('/readyz')).status === 200, 'the broker is back')
      const received = await run('mosquitto_sub', [...kept, '-C', '1', '-W', '60'])
      assert.match(received.output, /kept/)

      const listening = await subscriber(asDevice(system.mqttsPort, sensor), '-t', 'devices/sensor-1/#')
      const receipt = await system.ask<Receipt>(
        ...['certificate', 'revoke', sensor.fingerprint, '--reason', 'keyCompromise'],
      )
      assert.deepEqual([receipt.sessionsCut, receipt.nodesTotal, receipt.nodesAcknowledged], [1, 1, 1])
      assert.match((await listening.ended).output, /connection was lost/)
      const refused = await run('mosquitto_sub', [...asDevice(system.mqttsPort, sensor), '-t', 'devices/#'])
      assert.equal(refused.code, 5)
    })

    it('resumes a TLS session as the device of its certificate, and lets no stranger in', async () => {
      const device = await enrolled('sensor-2')
      const own = { cert: readFileSync(device.files.certificate), key: readFileSync(device.files.key) }
      const first = await visit(system, device.files.ca, 'sensor-2', own)
      assert.equal(first.answer, '20020000')
      const again = await visit(system, device.files.ca, 'sensor-2', { ...own, session: first.session })
      assert.equal(again.answer, '20020000')
      if (gates === 0) assert.equal(again.resumed, true)
      await system.ask('device', 'suspend', 'sensor-2')
      const late = await visit(system, device.files.ca, 'sensor-2', { ...own, session: again.session })
      assert.equal(late.answer, '20020005')
      assert.equal((await visit(system, device.files.ca, 'sensor-2', {})).answer, '')
    })
  })

/** Connects as Node's TLS does, says CONNECT, and gives the first answer in hexadecimal. */
function visit(
  { mqttsPort }: System,
  ca: string,
  id: string,
  options: { cert?: Buffer; key?: Buffer; session?: Buffer },
): Promise<{ answer: string; resumed: boolean; session: Buffer }> {
  return new Promise(resolve => {
    const socket = connect({
      host: '127.0.0.1',
      port: mqttsPort,
      ca: readFileSync(ca),
      maxVersion: 'TLSv1.2',
      ...options,
    })
    let answer = Buffer.alloc(0)
    let resumed = false
    let session = Buffer.alloc(0)
    socket.once('secureConnect', () => {
      resumed = socket.isSessionReused()
      session = socket.getSession() ?? session
      socket.write(connectPacket({ clientId: id }))
    })
    socket.on('data', (bytes: Buffer) => {
      answer = Buffer.concat([answer, bytes])
      socket.end()
    })
    socket.on('error', () => {})
    socket.once('close', () => resolve({ answer: answer.toString('hex'), resumed, session }))
  })
}
