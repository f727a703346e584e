// A broker that runs out of file descriptors: nobody new comes in, nobody inside notices, nothing is loosened, and it is over
// as soon as descriptors are free again.
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { until } from '../cli/running.ts'
import { type Device, enroll, knock, openTls } from '../e2e/devices.ts'
import { anyPorts, type System, scratch, startSystem } from '../e2e/system.ts'
import { connectPacket, firstBytes } from '../harness/broker.ts'
import { publishPacket } from '../harness/raw-client.ts'

const DESCRIPTORS = 160
const CROWD = 200
const PUBACK = 0x40

for (const gates of ['0', '1'])
  describe(`a broker with ${gates} gates without file descriptors`, () => {
    const world = scratch()
    let system: System
    let inside: Device
    let outside: Device
    before(async () => {
      // Node raises the soft limit to the hard one.
      system = await startSystem(world.at('data'), {
        flags: [...anyPorts, '--gates', gates],
        through: ['prlimit', `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`],
        // The crowd keeps its descriptors until it is told to go.
        env: { ROLLCALL_BROKER_HANDSHAKE_TIMEOUT_MS: '120000' },
      })
      inside = await enroll(system.api, world.path, 'inside')
      outside = await enroll(system.api, world.path, 'outside')
    })
    after(async () => {
      await system?.[Symbol.asyncDispose]()
      world[Symbol.dispose]()
    })

    it('keeps live sessions, admits nobody, cuts a revoked device, and recovers', async t => {
      const broker = system.childPid('broker')
      const session = await openTls(system.mqttsPort, inside)
      session.write(connectPacket({ clientId: inside.id, keepalive: 600 }))
      assert.equal((await firstBytes(session))?.[3], 0)

      const crowd = Array.from({ length: CROWD }, () => openTcp(system.mqttsPort))
      await until(
        () => crowd.filter(socket => socket.closed).length > CROWD / 2,
        'most were turned away at once',
      )
      assert.equal(await knock(system.mqttsPort, outside.id, outside), 'cut')
      assert.equal((await publishAtQos1(session))[0], PUBACK, 'a live session is served')
      const refused = () => system.metric('rollcall_refusals_total{reason="connections_exceeded"}')
      // A gate tells of it later than it does it.
      await until(async () => (await refused()) > CROWD / 2, 'they are counted')
      await system.run('certificate', 'revoke', inside.fingerprint)
      await new Promise<void>(resolve =>
        session.closed ? resolve() : session.once('close', () => resolve()),
      )

      for (const socket of crowd) socket.destroy()
      const freed = performance.now()
      await until(
        async () => (await knock(system.mqttsPort, outside.id, outside)) === 'connack 0',
        'it recovers',
      )
      t.diagnostic(`admits again ${Math.round(performance.now() - freed)} ms after descriptors are free`)
      assert.equal(await knock(system.mqttsPort, inside.id, inside), 'connack 5')
      assert.equal(system.childPid('broker'), broker, 'the process lived through it')
    })
  })

async function publishAtQos1(session: Socket): Promise<Buffer> {
  const qos1 = publishPacket(`devices/inside/x`, Buffer.from([0, 1, 0x79]))
  qos1[0] = 0x32
  // The packet identifier stands between topic and payload [MQTT-2.3.1-1]: here it is the payload's first two octets.
  session.write(qos1)
  return (await firstBytes(session)) ?? Buffer.alloc(0)
}

function openTcp(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  socket.resume()
  return socket
}
