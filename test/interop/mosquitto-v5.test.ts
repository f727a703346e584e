// mosquitto's own clients in MQTT 5, against ours and against mosquitto itself: properties, expiry, aliases, retain flags,
// delayed wills, shared subscriptions, limits, request and response, and what they are told.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { asDevice, type Ended, run, start } from '../e2e/mosquitto.ts'
import { scratch } from '../e2e/system.ts'
import { startTarget, type Target, targetNames } from './brokers.ts'

const everything = [
  ...['-D', 'publish', 'payload-format-indicator', '1'],
  ...['-D', 'publish', 'message-expiry-interval', '600'],
  ...['-D', 'publish', 'content-type', 'text/plain'],
  ...['-D', 'publish', 'response-topic', 'devices/backend/answers'],
  ...['-D', 'publish', 'correlation-data', 'c-1'],
  ...['-D', 'publish', 'user-property', 'hop', 'first'],
  ...['-D', 'publish', 'user-property', 'site', 'north'],
  ...['-D', 'publish', 'user-property', 'hop', 'second'],
]
type Device = Target['backends'][number]

const FORMAT = '%q|%r|%F|%C|%R|%D|%P|%p'
const EVERYTHING = '1|text/plain|devices/backend/answers|c-1|hop:first site:north hop:second'

for (const name of targetNames) {
  describe(`mosquitto's clients in MQTT 5 at ${name}`, () => {
    const world = scratch()
    let target: Target
    let backend: Device
    let other: Device
    before(async () => {
      target = await startTarget(name, world.at(name))
      ;[backend, other] = target.backends as [Device, Device]
    })
    after(async () => {
      await target?.[Symbol.asyncDispose]()
      world[Symbol.dispose]()
    })

    const as = (device: Device) => [...asDevice(target.port, device), '-V', 'mqttv5']
    const publish = (device: Device, ...flags: string[]): Promise<Ended> =>
      run('mosquitto_pub', [...as(device), ...flags])
    const subscriber = async (device: Device, ...flags: string[]) => {
      const client = start('stdbuf', ['-oL', 'mosquitto_sub', ...as(device), '-d', '-F', FORMAT, ...flags])
      await client.printed('Subscribed (mid')
      return client
    }
    const heard = ({ output }: Ended): string[] => output.split('\n').filter(line => /^\d\|/.test(line))

    for (const qos of ['0', '1', '2']) {
      it(`carry a message with all its properties at QoS ${qos}`, async () => {
        const device = await target.device(`carrier-${qos}`)
        const topic = `devices/${device.id}/t`
        const listening = await subscriber(backend, '-t', topic, '-q', qos, '-C', '1')
        const sent = await publish(device, '-t', topic, '-m', 'grüße', '-q', qos, ...everything)
        assert.equal(sent.code, 0, sent.output)
        assert.deepEqual(heard(await listening.ended), [`${qos}|0|${EVERYTHING}|grüße`])
      })
    }

    it('find a retained message with its properties, and with what is left of its time', async () => {
      const device = await target.device('keeper')
      const topic = 'devices/keeper/state'
      assert.equal((await publish(device, '-t', topic, '-m', 'open', '-r', '-q', '1', ...everything)).code, 0)
      const found = await run('mosquitto_sub', [
        ...as(backend),
        ...['-t', topic, '-C', '1', '-F', `%E|${FORMAT}`],
      ])
      const [left, ...rest] = found.output.trim().split('|')
      assert.equal(rest.join('|'), `0|1|${EVERYTHING}|open`)
      assert.ok(Number(left) <= 600 && Number(left) > 560, `${left} of 600 seconds`)
    })

    it('never hear what expired before they came', async () => {
      const device = await target.device('hasty')
      const topic = 'devices/hasty/commands'
      const session = ['-c', '-x', '600', '-q', '1', '-t', topic]
      assert.equal((await run('mosquitto_sub', [...as(device), ...session, '-E'])).code, 0)
      const brief = ['-q', '1', '-D', 'publish', 'message-expiry-interval', '1']
      await publish(backend, '-t', topic, '-m', 'brief', ...brief)
      await publish(backend, '-t', 'devices/hasty/state', '-r', '-m', 'brief', ...brief)
      // It hears nothing for three seconds, and goes.
      const clock = await subscriber(backend, '-t', 'devices/hasty/clock', '-W', '3')
      await clock.ended
      await publish(backend, '-t', topic, '-m', 'lasting', '-q', '1')
      const back = await run('mosquitto_sub', [...as(device), ...session, '-C', '1', '-F', '%p'])
      assert.equal(back.output, 'lasting\n')
      const state = await subscriber(other, '-t', 'devices/hasty/state', '-q', '1', '-C', '1')
      await publish(backend, '-t', 'devices/hasty/state', '-m', 'new', '-q', '1')
      assert.match(heard(await state.ended)[0] ?? '', /\|new$/)
    })

    it('are sent what they send by alias', async () => {
      const device = await target.device('short')
      const topic = 'devices/short/t'
      const listening = await subscriber(backend, '-t', topic, '-C', '2')
      const alias = ['-D', 'publish', 'topic-alias', '3']
      assert.equal((await publish(device, '-t', topic, '-m', 'a', ...alias)).code, 0)
      const lines = start('mosquitto_pub', [...as(device), '-t', topic, '-l', ...alias], 'b\n')
      assert.equal((await lines.ended).code, 0)
      assert.deepEqual(
        heard(await listening.ended).map(line => line.at(-1)),
        ['a', 'b'],
      )
    })

    it('see the retain flag as it was published where they ask for it', async () => {
      const device = await target.device('flagged')
      const topic = 'devices/flagged/t'
      const asPublished = await subscriber(backend, '-t', topic, '-C', '1', '--retain-as-published')
      const plain = await subscriber(other, '-t', topic, '-C', '1')
      assert.equal((await publish(device, '-t', topic, '-m', 'x', '-r')).code, 0)
      const flags = [asPublished, plain].map(async client => heard(await client.ended)[0]?.slice(0, 4))
      assert.deepEqual(await Promise.all(flags), ['0|1|', '0|0|'])
    })

    it('are told that nobody may publish for another device, and stay', async () => {
      const device = await target.device('trespasser')
      const lines = start(
        'mosquitto_pub',
        [...as(device), '-q', '1', '-l', '-t', 'devices/carrier-0/t'],
        '1\n2\n',
      )
      const { output, code } = await lines.ended
      assert.equal(output.match(/Publish \d failed: Not authorized/gi)?.length, 2, output)
      assert.equal(code, 0)
    })

    it('have a will sent after its delay, with its properties, unless they are back before', async () => {
      const device = await target.device('mortal')
      const topic = 'devices/mortal/gone'
      const will = [
        ...['--will-topic', topic, '--will-payload', 'died', '--will-qos', '1'],
        ...['-D', 'will', 'will-delay-interval', '1', '-D', 'will', 'content-type', 'text/will'],
        ...['-D', 'will', 'user-property', 'b', '1', '-D', 'will', 'user-property', 'a', '2'],
        ...['-x', '60', '-c', '-t', 'devices/mortal/commands'],
      ]
      const mourner = await subscriber(backend, '-t', 'devices/mortal/#', '-q', '1', '-C', '2')
      const first = await subscriber(device, ...will)
      await first.stop('SIGKILL')
      const second = await subscriber(device, ...will)
      assert.equal((await publish(other, '-t', 'devices/mortal/t', '-m', 'back', '-q', '1')).code, 0)
      await second.stop('SIGKILL')
      const lines = heard(await mourner.ended).map(line => line.split('|'))
      assert.deepEqual(
        lines.map(line => line.at(-1)),
        ['back', 'died'],
      )
      assert.deepEqual([lines[1]?.[3], lines[1]?.[6]], ['text/will', 'b:1 a:2'])
    })

    it('are sent no packet that is larger than they take, and everything else', async () => {
      const device = await target.device('small')
      const topic = 'devices/small/commands'
      const limit = ['-D', 'connect', 'maximum-packet-size', '100']
      const listening = await subscriber(device, '-t', topic, '-q', '1', '-C', '2', ...limit)
      for (const message of ['before', 'x'.repeat(200), 'after'])
        assert.equal((await publish(backend, '-t', topic, '-m', message, '-q', '1')).code, 0)
      assert.deepEqual(
        heard(await listening.ended).map(line => line.split('|').at(-1)),
        ['before', 'after'],
      )
    })

    it('are sent no more at once than they take, and in order', async () => {
      const device = await target.device('careful')
      const topic = 'devices/careful/commands'
      const listening = await subscriber(
        device,
        '-t',
        topic,
        '-q',
        '2',
        '-C',
        '50',
        '-D',
        'connect',
        'receive-maximum',
        '1',
      )
      const numbers = Array.from({ length: 50 }, (_, number) => String(number + 1))
      const sender = start(
        'mosquitto_pub',
        [...as(backend), '-t', topic, '-q', '2', '-l'],
        `${numbers.join('\n')}\n`,
      )
      assert.equal((await sender.ended).code, 0)
      assert.deepEqual(
        heard(await listening.ended).map(line => line.split('|').at(-1)),
        numbers,
      )
    })

    it('share a subscription, each message to one of them', async () => {
      const device = await target.device('employer')
      const shared = ['-t', '$share/workers/devices/employer/jobs', '-t', 'devices/employer/end', '-q', '1']
      const sharers = await Promise.all([backend, other].map(worker => subscriber(worker, ...shared)))
      const jobs = Array.from({ length: 40 }, (_, number) => `job ${number + 1}`)
      const to = ['-t', 'devices/employer/jobs', '-q', '1', '-l']
      assert.equal(
        (await start('mosquitto_pub', [...as(device), ...to], `${jobs.join('\n')}\n`).ended).code,
        0,
      )
      const end = ['-t', 'devices/employer/end', '-m', 'end', '-q', '1']
      assert.equal((await publish(device, ...end)).code, 0)
      const ended = sharers.map(async sharer => {
        await sharer.printed('|end')
        return heard(await sharer.stop()).map(line => line.split('|').at(-1) ?? '')
      })
      const [one = [], two = []] = (await Promise.all(ended)).map(all => all.filter(text => text !== 'end'))
      assert.deepEqual([...one, ...two].sort(), jobs.toSorted())
      assert.ok(one.length > 0 && two.length > 0, `${one.length} and ${two.length}`)
    })

    it('ask and are answered', async () => {
      const device = await target.device('asker')
      const ask = ['-t', 'devices/asker/question', '-e', 'devices/asker/answer', '-m', 'how many?', '-q', '1']
      const listening = await subscriber(backend, '-t', 'devices/asker/question', '-q', '1')
      const asking = start('mosquitto_rr', [...as(device), ...ask])
      await listening.printed(/devices\/asker\/answer/)
      const correlation =
        /^\d\|\d\|\|\|devices\/asker\/answer\|(.*)\|\|how many\?$/m.exec(listening.output())?.[1] ?? ''
      const answer = ['-t', 'devices/asker/answer', '-m', 'seven', '-q', '1']
      const correlated = correlation === '' ? [] : ['-D', 'publish', 'correlation-data', correlation]
      assert.equal((await publish(other, ...answer, ...correlated)).code, 0)
      assert.equal((await asking.ended).output.trim(), 'seven')
      await listening.stop()
    })
  })
}
