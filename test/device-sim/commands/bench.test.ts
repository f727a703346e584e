// Command lines of emqtt-bench and of mqttx bench, as they stand in scripts, and what a broker gets from them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bench } from '../fakes/command.ts'
import { type PlainBroker, startPlainBroker } from '../fakes/plain-broker.ts'

const at = ({ port }: PlainBroker) => ['-h', '127.0.0.1', '-p', String(port)]
const sent = ({ received }: PlainBroker) =>
  received.map(({ client, topic }) => `${client} ${topic}`).toSorted()

describe('a script of emqtt-bench', () => {
  it('publishes as many messages as it says, under the client IDs and topics that it expects', async () => {
    await using broker = await startPlainBroker()
    const flags =
      '-c 2 -R 500 -i 10 -I 20 -t bench/%i/%c/%s -s 64 -q 1 -L 5 -V 4 -k 30 -C true --prefix load --lowmem'
    const { code, stderr } = await bench('pub', ...at(broker), ...flags.split(' '))
    assert.equal(code, 0, stderr)
    assert.deepEqual(sent(broker), [
      'load_bench_pub_1 bench/1/load_bench_pub_1/1',
      'load_bench_pub_1 bench/1/load_bench_pub_1/2',
      'load_bench_pub_1 bench/1/load_bench_pub_1/3',
      'load_bench_pub_2 bench/2/load_bench_pub_2/1',
      'load_bench_pub_2 bench/2/load_bench_pub_2/2',
    ])
    for (const { payload, qos } of broker.received) assert.deepEqual([payload.length, qos], [64, 1])
    assert.match(stderr, /note: --lowmem changes nothing here/)
  })

  it('is refused by name where it asks for what there is not', async () => {
    const { code, stderr } = await bench('conn', '-h', '127.0.0.1', '--quic', '--ciphers', 'x')
    assert.equal(code, 2)
    assert.match(stderr, /^error: --quic: QUIC is not supported/m)
    assert.match(stderr, /^error: --ciphers: /m)
    const two = await bench('conn', '-h', 'a,b')
    assert.match(two.stderr, /-h: expected one host/)
  })
})

describe('a script of mqttx bench', () => {
  it('publishes what it says, with short flags of several letters', async () => {
    await using broker = await startPlainBroker()
    const flags = '-c 2 -i 2 -I mx_%i -im 20 -t x/%c -m hello -q 2 -L 3 -V 3.1.1 -l mqtt -rp 0 -v'
    const { code, stderr } = await bench('bench', 'pub', ...at(broker), ...flags.split(' '))
    assert.equal(code, 0, stderr)
    assert.deepEqual(sent(broker), ['mx_1 x/mx_1', 'mx_1 x/mx_1', 'mx_2 x/mx_2'])
    for (const { payload } of broker.received) assert.equal(String(payload), 'hello')
  })

  it('is refused by name where it asks for what there is not', async () => {
    const { code, stderr } = await bench('bench', 'conn', '-Wt', 'gone', '--ws-headers', 'a: b')
    assert.equal(code, 2)
    assert.match(stderr, /-Wt is not supported[\s\S]*--ws-headers is not supported/)
  })
})
