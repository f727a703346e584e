// Three machines under every fault of what they share and of the ways between them, with messages, a device that moves ten times a second and a
// revocation during each: nothing acknowledged is lost, QoS 2 comes once, order stays, nobody is admitted without a right, what a receipt
// says is true. At length alone: ROLLCALL_FAULT_NAME is an expression for the names of those to be tried.
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../cli/running.ts'
import { type Device, enroll, knock, type Session, stay } from '../e2e/devices.ts'
import { scratch } from '../e2e/system.ts'
import type { Standby } from '../harness/postgres.ts'
import { length } from './length.ts'
import { startMover } from './mover.ts'
import { type Machine, startThreeMachines, type ThreeMachines } from './three-machines.ts'
import { startTraffic, type Traffic } from './traffic.ts'

const RECOVERY_MS = 120_000
/** A session that a receipt says is cut falls within this. */
const FALLS_MS = 2_000

type Fault = { name: string; forMs: number; begin(): Promise<void> | void; end(): Promise<void> | void }
type Receipt = {
  nodesTotal: number
  nodesAcknowledged: number
  unreachable: string[]
  noSessionAfter?: string | null
}

const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1')
const apart = (by: string) => ({
  three: {
    env: { LD_PRELOAD: library, FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME: by },
    otherClock: true,
  },
})
const SOME = /^three (is cut off from PostgreSQL|has a broker killed)/

for (const [title, of, wanted] of [
  ['three machines', {}, /./],
  ['three machines, the clock of the third one a minute behind', apart('-60s'), SOME],
  ['three machines, the clock of the third one a minute ahead', apart('+60s'), SOME],
] as const)
  describe(title, { skip: length(1, 0) === 1 && 'at length only: npm run faults' }, () => {
    const world = scratch()
    let three: ThreeMachines
    let standby: Standby | undefined
    let one: Machine
    let traffic: Traffic
    let mover: Awaited<ReturnType<typeof startMover>>
    let victims = 0

    before(async () => {
      three = await startThreeMachines(world, { of })
      ;[one] = three.machines
      const { api } = one.system
      const ports = three.machines.map(({ system }) => system.mqttsPort)
      const receiver = await enroll(api, world.path, 'receiver', { groups: ['backend'] })
      const sender = await enroll(api, world.path, 'sender')
      for (const port of ports)
        for (const device of [receiver, sender])
          await until(async () => (await knock(port, device.id, device)) === 'connack 0', 'both are known')
      traffic = await startTraffic(ports, sender, receiver, { inFlight: 1, everyMs: 20 })
      mover = startMover(ports, await enroll(api, world.path, 'mover'))
    })
    after(async () => {
      await mover?.end()
      await traffic?.end()
      await three?.[Symbol.asyncDispose]()
      await standby?.close()
      world[Symbol.dispose]()
    })

    /** Asks one machine after the other until one of them has done it. */
    async function revoke({ fingerprint }: Device): Promise<Receipt> {
      const end = performance.now() + RECOVERY_MS
      for (let at = 0; ; at += 1) {
        const { api } = three.machines[at % 3]!.system
        const path = `/v1/certificates/${fingerprint}/revoke`
        const answer = await Promise.race([
          api.call('POST', path, {}, { 'idempotency-key': fingerprint.slice(0, 32) }).catch(() => null),
          delay(20_000, null, { ref: false }),
        ])
        if (answer?.status === 200) return answer.body.receipt ?? answer.body
        assert.ok(performance.now() < end, `nobody revokes: ${JSON.stringify(answer?.body)}`)
        await delay(200)
      }
    }

    /** A service that was killed takes a moment. */
    async function enrolled(): Promise<Device> {
      for (const end = performance.now() + RECOVERY_MS; ; await delay(200))
        try {
          return await enroll(one.system.api, world.path, `victim-${++victims}`)
        } catch (error) {
          if (performance.now() > end) throw error
        }
    }

    /** A device for each machine, connected there. */
    async function newVictims(): Promise<{ device: Device; machine: Machine; session: Session }[]> {
      const all = []
      for (const machine of three.machines) {
        const device = await enrolled()
        const { mqttsPort } = machine.system
        await until(async () => (await knock(mqttsPort, device.id, device)) === 'connack 0', 'it is known')
        all.push({ device, machine, session: await stay(mqttsPort, device.id, device) })
      }
      return all
    }

    const isIn = async (machine: Machine, device: Device) =>
      (await Promise.race([
        knock(machine.system.mqttsPort, device.id, device).catch(() => 'cut'),
        delay(3_000, 'silent', { ref: false }),
      ])) === 'connack 0'

    async function judge(t: TestContext, { name, forMs, begin, end }: Fault): Promise<void> {
      const some = await newVictims()
      const before = traffic.acknowledged()
      await until(() => traffic.acknowledged() > before + 10, 'messages are acknowledged', RECOVERY_MS)
      const began = performance.now()
      const revoking = Promise.all(
        some.map(async ({ device, machine, session }) => {
          await delay(1_000)
          const receipt = await revoke(device)
          const at = performance.now()
          assert.ok(receipt.nodesAcknowledged + receipt.unreachable.length >= receipt.nodesTotal)
          for (const each of three.machines) {
            if (receipt.unreachable.includes(each.name)) continue
            if (each === machine)
              await Promise.race([
                session.closed,
                delay(FALLS_MS, null, { ref: false }).then(() =>
                  assert.fail(`${device.id} is connected to ${each.name}, which has acknowledged`),
                ),
              ])
            assert.equal(await isIn(each, device), false, `${each.name} admits ${device.id} and acknowledged`)
          }
          return { receipt, at }
        }),
      )
      revoking.catch(() => {})
      await begin()
      await delay(forMs)
      await end()
      const ended = performance.now()
      const receipts = await revoking
      const open = receipts.filter(({ receipt }) => receipt.unreachable.length > 0).length
      for (const { device, machine, session } of some) {
        await until(async () => {
          for (const each of three.machines)
            assert.equal(await isIn(each, device), false, `${device.id} is out`)
          return true
        }, 'nobody revoked is in')
        await Promise.race([
          session.closed,
          delay(RECOVERY_MS, null, { ref: false }).then(() =>
            assert.fail(`${device.id} at ${machine.name} is still connected`),
          ),
        ])
      }
      const then = traffic.acknowledged()
      await until(() => traffic.acknowledged() > then + 20, 'messages are acknowledged again', RECOVERY_MS)
      const messagesMs = performance.now() - ended
      await mover.settled(RECOVERY_MS)
      const movesMs = performance.now() - ended
      await until(
        async () => {
          const [probe, ...others] = await newVictims()
          for (const { session } of others) session.end()
          const receipt = await revoke(probe!.device)
          return receipt.nodesTotal === 3 && receipt.nodesAcknowledged === 3
        },
        'a receipt is complete',
        RECOVERY_MS,
      )
      t.diagnostic(
        `${name}: ${((ended - began) / 1000).toFixed(1)} s; ${some.length} revoked during it, ${open} receipts named machines; messages again after ` +
          `${(messagesMs / 1000).toFixed(1)} s, the device moves again after ${(movesMs / 1000).toFixed(1)} s, receipts complete after ${((performance.now() - ended) / 1000).toFixed(1)} s`,
      )
    }

    const kill = (machine: Machine, service: 'broker' | 'provisioning') =>
      process.kill(machine.system.childPid(service), 'SIGKILL')
    const nothing = () => {}
    const each3 = (what: (machine: Machine) => void) => {
      for (const machine of three.machines) what(machine)
    }
    const each = (
      what: string,
      begin: (machine: Machine) => void,
      end: (machine: Machine) => void,
      forMs = 8_000,
    ) =>
      [0, 2].map(at => ({
        name: `${['one', '', 'three'][at]} ${what}`,
        forMs,
        begin: () => begin(three.machines[at]!),
        end: () => end(three.machines[at]!),
      }))
    const all: Fault[] = [
      ...each(
        'is cut off from PostgreSQL',
        m => m.database.silence(),
        m => m.database.heal(),
      ),
      ...each(
        'hears nothing of PostgreSQL',
        m => m.database.silence({ there: false }),
        m => m.database.heal(),
      ),
      ...each(
        'is cut off from the bus',
        m => m.bus.silence(),
        m => m.bus.heal(),
      ),
      ...each(
        'is not heard by the bus',
        m => m.bus.silence({ back: false }),
        m => m.bus.heal(),
      ),
      {
        name: 'the bus is in two parts',
        forMs: 10_000,
        begin: () => three.route.silence(),
        end: () => three.route.heal(),
      },
      ...each('has a broker killed', m => kill(m, 'broker'), nothing, 1_000),
      ...each('has its provisioning service killed', m => kill(m, 'provisioning'), nothing, 1_000),
      {
        name: 'all brokers are killed',
        forMs: 1_000,
        begin: () => each3(m => kill(m, 'broker')),
        end: nothing,
      },
      {
        name: 'PostgreSQL is killed',
        forMs: 2_000,
        begin: () => three.postgres.kill(),
        end: () => three.postgres.start(),
      },
      {
        name: 'PostgreSQL hangs',
        forMs: 8_000,
        begin: () => three.postgres.freeze(),
        end: () => three.postgres.thaw(),
      },
      {
        name: 'PostgreSQL is 0.1 s late each way',
        forMs: 8_000,
        begin: () => each3(m => m.database.delay(100)),
        end: () => each3(m => m.database.heal()),
      },
      { name: 'a server of the bus is killed', forMs: 1_000, begin: () => three.restartBus(0), end: nothing },
      {
        ...{ name: 'the other server of the bus is killed', forMs: 1_000 },
        ...{ begin: () => three.restartBus(1), end: nothing },
      },
      {
        name: 'PostgreSQL fails over to a synchronous standby',
        forMs: 1_000,
        async begin() {
          standby = await three.postgres.standby({ synchronous: true })
          await three.postgres.kill()
          await standby.promote()
          await standby.moveTo(three.postgres.url)
        },
        end: nothing,
      },
    ]
    const asked = new RegExp(process.env['ROLLCALL_FAULT_NAME'] ?? '')
    const chosen = all.filter(({ name }) => wanted.test(name) && asked.test(name))
    for (const fault of chosen)
      it(fault.name, async t => {
        await judge(t, fault)
      })

    it('lost nothing, doubled nothing of QoS 2 and kept the order', async t => {
      const { acknowledged, again } = await traffic.settle(RECOVERY_MS)
      for (const qos of [1, 2] as const) {
        const order = [...traffic.arrived(qos).keys()].map(text => Number(text.slice(2)))
        const wrong = order.findIndex((n, at) => at > 0 && n < order[at - 1]!)
        assert.equal(
          wrong,
          -1,
          `order of QoS ${qos} is lost at ${order.slice(Math.max(0, wrong - 3), wrong + 3)}`,
        )
      }
      const owners = await three.postgres.query(
        'SELECT client_id FROM rollcall_cluster.sessions s JOIN rollcall_cluster.nodes n ON n.incarnation = s.owner WHERE n.ended',
      )
      assert.deepEqual(owners, [], 'each session has a node that lives')
      t.diagnostic(
        `${acknowledged} messages acknowledged, all arrived, ${again} of QoS 1 again; ${mover.moves()} moves of one device`,
      )
    })
  })
