// Rows that PostgreSQL refuses for good, by a constraint of the test: one stops no other, and its publisher is told. What only fails for a
// while is not taken for refused.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { IClientOptions } from 'mqtt'
import type { TestBroker } from '../../harness/broker.ts'
import { until } from '../../harness/until.ts'
import { clientAt, createNodes, type Nodes } from './nodes.ts'

const v5: IClientOptions = { protocolVersion: 5 }
const kept: IClientOptions = { protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 600 } }

describe('a row that PostgreSQL refuses', () => {
  let nodes: Nodes
  let one: TestBroker
  let two: TestBroker

  before(async () => {
    nodes = await createNodes()
    one = await nodes.start('one')
    two = await nodes.start('two')
    for (const table of ['log', 'retained'])
      await nodes.postgres.query(
        `ALTER TABLE rollcall_cluster.${table} ADD CHECK (position('poison'::bytea IN message) = 0)`,
      )
    await nodes.postgres.query(
      `ALTER TABLE rollcall_cluster.session_rows ADD CHECK (name NOT LIKE '%/poison')`,
    )
  })
  after(() => nodes[Symbol.asyncDispose]())

  const logged = async (text: string) =>
    (
      await nodes.postgres.query(
        'SELECT 1 FROM rollcall_cluster.log WHERE position($1::bytea IN message) > 0',
        [Buffer.from(text)],
      )
    ).length

  for (const qos of [1, 2] as const)
    it(`is not acknowledged at QoS ${qos}, and what came with it is`, async () => {
      const name = `sender-${qos}`
      const topic = `devices/${name}/x`
      const reader = await clientAt(two, `reader-${qos}`, await nodes.backend(`reader-${qos}`), kept)
      await reader.client.subscribeAsync(`devices/+/x`, { qos })
      const sender = await clientAt(one, name, await nodes.backend(name), kept)
      await sender.client.subscribeAsync(topic, { qos }) // its own queue is part of the group, too
      const texts = ['first', 'poison', 'second', 'poison again', 'third'].map(text => `${text} ${qos}`)
      const answers = await Promise.allSettled(
        texts.map(text => sender.client.publishAsync(topic, text, { qos })),
      )
      assert.deepEqual(
        answers.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'],
      )
      const codes = answers.flatMap(answer => (answer.status === 'rejected' ? [answer.reason.code] : []))
      assert.deepEqual(codes, [0x83, 0x83])
      for (const text of [`first ${qos}`, `second ${qos}`, `third ${qos}`]) await reader.inbox.message(text)
      assert.equal(await logged('poison'), 0)
      await sender.client.publishAsync(topic, `after ${qos}`, { qos })
      await reader.inbox.message(`after ${qos}`)
      assert.equal(sender.client.connected, true)
      for (const { client } of [sender, reader]) await client.endAsync()
    })

  it('ends the connection of a publisher that cannot be told, before version 5', async () => {
    const sender = await clientAt(one, 'older', await nodes.backend('older'), { reconnectPeriod: 0 })
    const closed = new Promise<void>(resolve => sender.client.once('close', () => resolve()))
    sender.client.publish('devices/older/x', 'poison', { qos: 1 })
    await closed
    sender.client.end(true)
  })

  it('is not retained anywhere: what its topic held before is there again', async () => {
    const sender = await clientAt(one, 'keeper', await nodes.backend('keeper'), v5)
    const topic = 'devices/keeper/state'
    await sender.client.publishAsync(topic, 'good', { qos: 1, retain: true })
    await assert.rejects(sender.client.publishAsync(topic, 'poison', { qos: 1, retain: true }), {
      code: 0x83,
    })
    for (const [at, node] of [one, two].entries())
      await until(async () => {
        const reader = await clientAt(node, `look-${at}`, await nodes.backend(`look-${at}`), v5)
        try {
          await reader.client.subscribeAsync(topic, { qos: 1 })
          const text = await Promise.race([
            reader.inbox.message('good').then(() => 'good'),
            reader.inbox.message('poison').then(() => 'poison'),
          ])
          return text === 'good'
        } finally {
          await reader.client.endAsync()
        }
      })
    await sender.client.endAsync()
  })

  it('of a session ends its connection without the answer, and no other', async () => {
    const other = await clientAt(one, 'other', await nodes.backend('other'), kept)
    const device = await clientAt(one, 'asks', await nodes.backend('asks'), { ...kept, reconnectPeriod: 0 })
    const closed = new Promise<void>(resolve => device.client.once('close', () => resolve()))
    const answer = device.client.subscribeAsync('devices/asks/poison', { qos: 1 }).then(
      () => 'answered',
      () => 'not answered',
    )
    await other.client.subscribeAsync('devices/other/x', { qos: 1 })
    await closed
    device.client.end(true)
    assert.equal(await answer, 'not answered')
    assert.equal(other.client.connected, true)
    await other.client.endAsync()
  })

  it('is told from what fails for a while: that is tried until it is there', async () => {
    await nodes.postgres.query(`
      CREATE SEQUENCE rollcall_cluster.tries;
      CREATE FUNCTION rollcall_cluster.fail_for_a_while() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF position('later'::bytea IN NEW.message) > 0 AND nextval('rollcall_cluster.tries') <= 3 THEN
          RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100';
        END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER fail_for_a_while BEFORE INSERT ON rollcall_cluster.log FOR EACH ROW
        EXECUTE FUNCTION rollcall_cluster.fail_for_a_while()`)
    const sender = await clientAt(one, 'patient', await nodes.backend('patient'), v5)
    await sender.client.publishAsync('devices/patient/x', 'later', { qos: 1 })
    assert.equal(await logged('later'), 1)
    const [tries] = await nodes.postgres.query('SELECT last_value::int AS tries FROM rollcall_cluster.tries')
    assert.equal(tries?.['tries'], 4)
    await sender.client.endAsync()
  })
})
