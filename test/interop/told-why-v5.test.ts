// What a device that speaks MQTT 5 is told when it may not: the Reason Code and the Reason String of CONNACK, PUBACK, SUBACK
// and DISCONNECT, as MQTT.js hands them on.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { scratch } from '../e2e/system.ts'
import { startTarget, type Target } from './brokers.ts'
import { visit } from './mqttjs-client.ts'

describe('a device in MQTT 5', () => {
  const world = scratch()
  let target: Target
  before(async () => {
    target = await startTarget('rollcall', world.at('rollcall'))
  })
  after(async () => {
    await target?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })
  const api = (path: string) => target.system?.api.call('POST', path)

  it('is told that it is suspended, when it is cut and when it comes back', async () => {
    const device = await target.device('suspended')
    await using visitor = await visit(target, device)
    const goodbye = new Promise<string | undefined>(resolve =>
      visitor.client.once('disconnect', ({ properties }) => resolve(properties?.reasonString)),
    )
    assert.equal((await api('/v1/devices/suspended/suspend'))?.status, 200)
    assert.equal(await visitor.closed, 0x98)
    assert.match((await goodbye) ?? '', /^device_suspended: \S/)
    await assert.rejects(visit(target, device), { code: 0x8a })
  })

  it('is told that its client ID is not its own', async () => {
    const device = await target.device('itself')
    await assert.rejects(visit(target, device, { clientId: 'backend' }), { code: 0x85 })
  })

  it('is told that it may not subscribe there, and stays', async () => {
    const device = await target.device('curious')
    await using visitor = await visit(target, device)
    assert.deepEqual(await visitor.subscribe('#'), [0x87])
    assert.deepEqual(await visitor.subscribe('devices/curious/#'), [1])
  })

  for (const asks of [true, false]) {
    it(`${asks ? 'is told' : 'that does not ask is not told'} in words why it may not publish`, async () => {
      const device = await target.device(`wordy-${asks}`)
      await using visitor = await visit(target, device, { properties: { requestProblemInformation: asks } })
      const words = new Promise<string | undefined>(resolve =>
        visitor.client.on('packetreceive', packet => {
          if (packet.cmd === 'puback') resolve(packet.properties?.reasonString)
        }),
      )
      await assert.rejects(visitor.client.publishAsync('devices/itself/t', 'x', { qos: 1 }), { code: 0x87 })
      if (asks) assert.match((await words) ?? '', /^publish_denied: \S/)
      else assert.equal(await words, undefined)
    })
  }

  it('is told that its session was taken over', async () => {
    const device = await target.device('double')
    await using first = await visit(target, device)
    await using second = await visit(target, device)
    assert.equal(await first.closed, 0x8e)
    assert.equal(second.connack.reasonCode, 0)
  })

  it('is told that no-local is not for shared subscriptions', async () => {
    await using visitor = await visit(target, target.backends[0] as Target['backends'][number])
    visitor.client.subscribe('$share/group/devices/#', { qos: 1, nl: true }, () => {})
    assert.equal(await visitor.closed, 0x82)
  })

  it('whose certificate is on no roll is closed on without a word', async () => {
    const device = await target.device('stranger')
    const other = await startTarget('rollcall', world.at('other'))
    try {
      await assert.rejects(visit({ ...other }, device, { rejectUnauthorized: false }), /closed|ECONNRESET/)
    } finally {
      await other[Symbol.asyncDispose]()
    }
  })
})
