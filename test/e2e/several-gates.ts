// Two machines with two gates each on one PostgreSQL and one bus: what holds for one gate of one machine holds for each of these four. Run
// once for each runtime of a broker.
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import type { Issuer } from '../../client/types.ts'
import { lives, until } from '../cli/running.ts'
import { killAndReturn } from '../fault/restarted.ts'
import { createAuthority } from '../harness/authority.ts'
import { type NatsServer, startNats } from '../harness/nats.ts'
import { type PostgresServer, startPostgres } from '../harness/postgres.ts'
import { type Credentials, type Device, enroll, knock, type Session, stay } from './devices.ts'
import { completeReceipt, devicesByGate, gatesOf, type Receipt, startMachines } from './machines.ts'
import { asDevice, run, subscriber } from './mosquitto.ts'
import { type System, scratch } from './system.ts'

const ADMIT_MS = 3_000
const CUT_MS = 8_000
/** Half of them are connections enough that each of two gates has one, but for once in half a million times. */
const ENOUGH = 40

export function describeSeveralGates(runtime: 'node' | 'bun'): void {
  describe(`two machines with two gates each, brokers on ${runtime}`, () => {
    const world = scratch()
    let postgres: PostgresServer
    let nats: NatsServer
    let one: System
    let other: System

    before(async () => {
      ;[postgres, nats] = await Promise.all([startPostgres(), startNats()])
      ;[one, other] = await startMachines(world, postgres, {
        flags: ['--bus', nats.url, '--gates', '2', '--broker-runtime', runtime],
        env: {
          ROLLCALL_BROKER_ISOLATION_ADMIT_MS: String(ADMIT_MS),
          ROLLCALL_BROKER_ISOLATION_CUT_MS: String(CUT_MS),
        },
      })
    })
    after(async () => {
      await Promise.allSettled([one?.[Symbol.asyncDispose](), other?.[Symbol.asyncDispose]()])
      await nats?.[Symbol.asyncDispose]()
      await postgres?.close()
      rmSync(world.path, { recursive: true, force: true })
    })

    const topic = (id: string) => `devices/${id}/news`
    const publish = (system: System, from: Device, to: string, text: string) =>
      run('mosquitto_pub', [...asDevice(system.mqttsPort, from), '-q', '1', '-t', topic(to), '-m', text])

    async function admittedAtBoth(id: string, options = {}): Promise<Device> {
      const device = await enroll(one.api, world.path, id, options)
      for (const system of [one, other])
        await until(async () => (await knock(system.mqttsPort, id, device)) === 'connack 0', `${id} enters`)
      return device
    }

    /** Connects one device after the other, once all are known there, until each gate of this machine has one. */
    async function atEachGate(system: System, devices: readonly ({ id: string } & Credentials)[]) {
      for (const device of devices)
        await until(
          async () => (await knock(system.mqttsPort, device.id, device)) === 'connack 0',
          `${device.id} enters`,
        )
      const sessions: Session[] = []
      for (const device of devices) {
        sessions.push(await stay(system.mqttsPort, device.id, device))
        const byGate = [...devicesByGate(system).values()]
        if (byGate.length === 2 && byGate.every(count => count > 0)) return sessions
      }
      throw new Error(`a gate has none of ${devices.length} devices`)
    }

    it('carry what mosquitto publishes at one to a subscriber at the other', async () => {
      const device = await admittedAtBoth('m1')
      const backend = await admittedAtBoth('m1-backend', { groups: ['backend'] })
      for (const [to, from] of [
        [one, other],
        [other, one],
      ] as const) {
        const client = await subscriber(asDevice(to.mqttsPort, device), '-t', topic('m1'))
        assert.equal((await publish(from, backend, 'm1', 'hello')).code, 0)
        await client.printed('hello')
        await client.stop()
      }
    })

    it('let devices of a new trust anchor in at each gate, and cut them in each once it is disabled', async () => {
      const maker = await createAuthority('Maker CA')
      writeFileSync(world.at('maker.crt'), maker.certificate)
      const issuer = await one.ask<Issuer>('issuer', 'add', world.at('maker.crt'), '--name', 'maker')
      const devices = await Promise.all(
        Array.from({ length: ENOUGH }, async (_, n) => {
          const id = `pump-${n}`
          const leaf = await maker.issue({ name: id })
          assert.equal((await one.api.call('POST', '/v1/devices', { id })).status, 201)
          const registered = await one.api.call('POST', `/v1/devices/${id}/certificates`, {
            certificate: leaf.certificate,
          })
          assert.equal(registered.status, 201, JSON.stringify(registered.body))
          return { id, ...leaf }
        }),
      )
      const half = ENOUGH / 2
      const sessions = [
        ...(await atEachGate(one, devices.slice(0, half))),
        ...(await atEachGate(other, devices.slice(half))),
      ]
      // Each time a change of its own: those sessions count that it still met.
      const receipts: Receipt[] = []
      const complete = await completeReceipt(async () => {
        receipts.push(await other.ask<Receipt>('issuer', 'disable', issuer.id, '--yes'))
        return receipts.at(-1)!
      })
      assert.deepEqual([complete.nodesTotal, complete.nodesAcknowledged], [2, 2], JSON.stringify(receipts))
      if (receipts.length === 1) assert.equal(complete.sessionsCut, sessions.length)
      await Promise.all(sessions.map(({ closed }) => closed))
      for (const system of [one, other])
        for (const device of devices)
          assert.notEqual(await knock(system.mqttsPort, device.id, device), 'connack 0')
    })

    it('go on when a gate is killed: its devices come back to their sessions, those of other gates stay', async () => {
      const backend = await admittedAtBoth('k-backend', { groups: ['backend'] })
      const device = await admittedAtBoth('k1')
      const args = [...asDevice(one.mqttsPort, device), '-c', '-q', '1', '-t', topic('k1')]
      assert.equal((await run('mosquitto_sub', [...args, '-E'])).code, 0)
      const others = await Promise.all(
        Array.from({ length: ENOUGH }, (_, n) => enroll(one.api, world.path, `s${n}`)),
      )
      await until(
        async () => (await knock(one.mqttsPort, others.at(-1)!.id, others.at(-1)!)) === 'connack 0',
        'they enter',
      )
      const sessions = await atEachGate(one, others)
      const [victim] = devicesByGate(one).keys()
      process.kill(victim!, 'SIGKILL')
      await Promise.race(sessions.map(({ closed }) => closed))
      assert.equal((await publish(other, backend, 'k1', 'kept')).code, 0)
      await until(
        () => gatesOf(one).length === 2 && !gatesOf(one).includes(victim!),
        'there are two gates again',
      )
      const states = await Promise.all(sessions.map(session => session.lives()))
      assert.ok(states.includes(true) && states.includes(false), String(states))
      assert.match((await run('mosquitto_sub', [...args, '-C', '1', '-W', '60'])).output, /kept/)
      for (const session of sessions) session.end()
      // In turn at all gates: the new one knows how old the replica is.
      for (let again = 0; again < 6; again += 1)
        assert.equal(await knock(one.mqttsPort, device.id, device), 'connack 0')
    })

    it('lose no session when a broker is killed, nor leave a gate of it behind', async () => {
      const backend = await admittedAtBoth('n-backend', { groups: ['backend'] })
      const device = await admittedAtBoth('n1')
      const args = (system: System) => [
        ...asDevice(system.mqttsPort, device),
        ...['-c', '-q', '1', '-t', topic('n1')],
      ]
      assert.equal((await run('mosquitto_sub', [...args(one), '-E'])).code, 0)
      assert.equal((await publish(one, backend, 'n1', 'kept')).code, 0)
      const gates = gatesOf(one)
      const returned = killAndReturn(one, ['broker'])
      assert.match((await run('mosquitto_sub', [...args(other), '-C', '1', '-W', '60'])).output, /kept/)
      await returned
      await until(() => !gates.some(lives), 'the gates before are gone')
      assert.equal(gatesOf(one).length, 2)
      await until(
        async () => (await knock(one.mqttsPort, device.id, device)) === 'connack 0',
        'the device is admitted again',
      )
    })

    it('admit nobody at any gate without PostgreSQL, and cut the devices of each', async () => {
      const devices = await Promise.all(
        Array.from({ length: ENOUGH }, (_, n) => enroll(one.api, world.path, `i${n}`)),
      )
      // They belong to this machine before PostgreSQL is away.
      for (const device of devices)
        await until(
          async () => (await knock(other.mqttsPort, device.id, device)) === 'connack 0',
          'it enters',
        )
      const sessions = await atEachGate(other, devices)
      const waiting = devices.at(-1)!
      const frozenAt = performance.now()
      postgres.freeze()
      try {
        await until(
          async () => (await knock(other.mqttsPort, waiting.id, waiting)) !== 'connack 0',
          'nobody new is admitted',
        )
        for (let again = 0; again < 6; again += 1)
          assert.equal(await knock(other.mqttsPort, waiting.id, waiting), 'cut')
        // A gate that refuses looks nothing up, so it names no device; the engine would.
        await until(
          () =>
            other.lines().some(line => line.reason === 'registry_unavailable' && line.deviceId === undefined),
          'a gate has refused',
        )
        await Promise.all(sessions.map(({ closed }) => closed))
        const cutMs = performance.now() - frozenAt
        assert.ok(cutMs > CUT_MS - 2_000, `cut after ${cutMs} ms`)
        await until(
          () => [...devicesByGate(other).values()].every(count => count === 0),
          'no gate has a device',
        )
      } finally {
        postgres.thaw()
      }
      await until(
        async () => (await knock(other.mqttsPort, waiting.id, waiting)) === 'connack 0',
        'the device is admitted again',
      )
    })
  })
}
