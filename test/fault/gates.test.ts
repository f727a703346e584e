// kill -9 of a gate, then of the broker, in a running system: devices of other gates stay, everyone comes back, and no
// process is left behind.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { lives, until } from '../cli/running.ts'
import { enroll, knock } from '../e2e/devices.ts'
import { anyPorts, type System, scratch, startSystem } from '../e2e/system.ts'
import { childrenOf } from '../harness/child-processes.ts'
import { killAndReturn } from './restarted.ts'

describe('a system with two gates', () => {
  const world = scratch()
  let system: System
  before(async () => {
    system = await startSystem(world.at('data'), { flags: [...anyPorts, '--gates', '2'] })
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  it('starts a killed gate again, under the same broker', async () => {
    const broker = system.childPid('broker')
    const [victim, survivor] = childrenOf(broker)
    process.kill(victim!, 'SIGKILL')
    await until(() => {
      const now = childrenOf(broker)
      return now.length === 2 && !now.includes(victim!)
    }, 'there are two gates again')
    assert.ok(childrenOf(broker).includes(survivor!))
    assert.equal(system.childPid('broker'), broker)
    await assertAdmits('after-a-gate')
  })

  it('leaves no gate behind when the broker is killed, and opens new ones', async () => {
    const gates = childrenOf(system.childPid('broker'))
    await killAndReturn(system, ['broker'])
    await until(() => !gates.some(lives), 'the gates are gone')
    await assertAdmits('after-the-broker')
    assert.equal(childrenOf(system.childPid('broker')).length, 2)
  })

  it('ends its gates when it is told to stop', async () => {
    const gates = childrenOf(system.childPid('broker'))
    assert.equal(await system.end(), 0)
    assert.deepEqual(gates.filter(lives), [])
  })

  /** Several times, so that each gate has its turn. */
  async function assertAdmits(id: string): Promise<void> {
    const device = await enroll(system.api, world.at('devices'), id)
    for (let again = 0; again < 6; again += 1) {
      assert.equal(await knock(system.mqttsPort, id, device), 'connack 0')
    }
  }
})
