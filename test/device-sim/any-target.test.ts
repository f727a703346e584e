// The same scenario over everything a broker may listen on: plain TCP, TLS without and with one certificate for all devices,
// WebSocket over either; with user and password, a pinned certificate, a server name of its own. Debian's mosquitto listens.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { findRunTarget, type RunFlags } from '../../device-sim/run/target.ts'
import { run } from '../e2e/mosquitto.ts'
import { startMosquitto } from '../e2e/mosquitto-server.ts'
import { scratch } from '../e2e/system.ts'
import { createAuthority, usage } from '../harness/authority.ts'
import { runText, type Sum } from './fakes/run.ts'

const scenario = (link: string, protocol: number) => `
name: anywhere
groups:
  - name: fleet
    count: 4
    link: ${link}
    protocol: ${protocol}
    publish: [{ topic: 'devices/\${device}/t', every: 100ms, qos: 1 }]
    subscribe: [{ filter: 'devices/\${device}/#', qos: 1 }]
stages: [{ kind: ramp, rate: 50 }, { kind: steady, for: 1h }]
thresholds: ['lost = 0', 'connected = 100%', 'received > 0', 'unacknowledged = 0']
`

/** Free for a moment: where somebody takes one before mosquitto does, the test fails and says so. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  const ports: number[] = []
  for (const server of servers) {
    if (!server.listening) await once(server, 'listening')
    ports.push((server.address() as { port: number }).port)
  }
  for (const server of servers) {
    server.close()
    await once(server, 'close')
  }
  return ports
}

describe('the simulator', () => {
  const context = scratch()
  let stop: () => Promise<void> = async () => {}
  let ports: Record<'mqtt' | 'open' | 'mutual' | 'ws' | 'wss', number>
  let fingerprint = ''
  const file = (name: string, text: string): string => {
    writeFileSync(context.at(name), text, { mode: 0o600 })
    return context.at(name)
  }
  before(async () => {
    const authority = await createAuthority()
    const server = await authority.issue({ name: 'localhost', usages: [usage.serverAuth] })
    const device = await authority.issue({ name: 'everybody' })
    file('one.pem', `${device.key}\n${device.certificate}\n`)
    file('password', 'secret of sim-fleet-00001\n')
    fingerprint = new X509Certificate(server.certificate).fingerprint256
    const files = {
      cafile: file('ca.crt', authority.certificate),
      certfile: file('server.crt', server.certificate),
      keyfile: file('server.key', server.key),
    }
    for (let number = 1; number <= 4; number++) {
      const user = `sim-fleet-0000${number}`
      const flags = ['-b', ...(number === 1 ? ['-c'] : []), context.at('users'), user, `pass-${user}`]
      const made = await run('mosquitto_passwd', flags)
      assert.equal(made.code, 0, made.output)
    }
    const tls = Object.entries(files).map(([name, path]) => `${name} ${path}`)
    const byPassword = ['allow_anonymous false', `password_file ${context.at('users')}`]
    const byCertificate = ['allow_anonymous true', 'require_certificate true']
    const [open = 0, mutual = 0, ws = 0, wss = 0] = await freePorts(4)
    const listen = (port: number, ...more: string[]) => [`listener ${port} 127.0.0.1`, ...more]
    const broker = await startMosquitto(
      mqtt =>
        file(
          'mosquitto.conf',
          [
            'per_listener_settings true',
            `user ${process.env['USER'] ?? 'root'}`,
            ...listen(mqtt, ...byPassword),
            ...listen(open, ...tls, ...byPassword),
            ...listen(mutual, ...tls, ...byCertificate),
            ...listen(ws, 'protocol websockets', ...byPassword),
            ...listen(wss, 'protocol websockets', ...tls, ...byPassword),
            '',
          ].join('\n'),
        ),
      port =>
        new Promise(resolve => {
          const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
          socket.once('connect', () => socket.destroy())
        }),
    )
    ports = { mqtt: broker.port, open, mutual, ws, wss }
    stop = async () => broker[Symbol.asyncDispose]()
  })
  after(async () => {
    await stop()
    context[Symbol.dispose]()
  })

  const password = { username: '%c', password: 'pass-%c' }
  const trusted = () => ({ ca: context.at('ca.crt'), servername: 'localhost' })
  const ways: [what: string, flags: () => RunFlags][] = [
    ['plain TCP, each with its password', () => ({ broker: `mqtt://127.0.0.1:${ports.mqtt}`, ...password })],
    [
      'TLS without certificates, to a server by its name',
      () => ({ broker: `mqtts://127.0.0.1:${ports.open}`, identities: 'none', ...trusted(), ...password }),
    ],
    [
      'TLS with one certificate for all, and a pinned server',
      () => ({
        broker: `mqtts://127.0.0.1:${ports.mutual}`,
        certificate: context.at('one.pem'),
        pin: fingerprint,
        alpn: 'mqtt',
      }),
    ],
    ['WebSocket', () => ({ broker: `ws://127.0.0.1:${ports.ws}/mqtt`, ...password })],
    [
      'WebSocket over TLS, the server not verified',
      () => ({ broker: `wss://127.0.0.1:${ports.wss}`, identities: 'none', insecure: true, ...password }),
    ],
  ]
  const onBunToo = new Set([
    'TLS with one certificate for all, and a pinned server',
    'WebSocket over TLS, the server not verified',
  ])
  for (const [what, flags] of ways) {
    for (const [link, protocol, runtime] of [
      ['lean', 5, 'node'],
      ['mqttjs', 4, 'node'],
      ...(onBunToo.has(what) ? ([['lean', 5, 'bun']] as const) : []),
    ] as const) {
      it(`speaks MQTT over ${what}, by the ${link} link in version ${protocol} on ${runtime}`, async () => {
        const enough = ({ population, received }: Sum) => population.connected === 4 && received > 4
        const { summary } = await runText(scenario(link, protocol), flags(), { enough, runtime })
        assert.deepEqual(summary.verdict, { passed: true, exitCode: 0, breaches: [] })
        assert.equal(summary.enrollment, null)
      })
    }
  }

  it('sees that a password is wrong', async () => {
    const flags = { ...ways[0]?.[1](), password: 'wrong' }
    const enough = ({ refusals }: Sum) => refusals['connack_0x87'] !== undefined
    const { summary } = await runText(scenario('lean', 5), flags, { enough })
    assert.equal(summary.verdict.exitCode, 99)
    assert.ok((summary.refusals['connack_0x87']?.unexpected ?? 0) > 0, JSON.stringify(summary.refusals))
  })

  for (const [what, broken, code] of [
    ['another certificate than the pinned one', () => ({ pin: 'a'.repeat(64) }), 'cert_not_pinned'],
    [
      'a name that its certificate does not say',
      () => ({ pin: undefined, ca: context.at('ca.crt'), servername: 'other.example' }),
      'err_tls_cert_altname_invalid',
    ],
  ] as const) {
    for (const link of ['lean', 'mqttjs']) {
      it(`trusts no server with ${what} (${link})`, async () => {
        const { pin, ...flags } = { ...(ways[2]?.[1]() as RunFlags), ...broken() }
        const pinned = { ...flags, ...(pin === undefined ? {} : { pin }) }
        const enough = ({ failures }: Sum) => Object.keys(failures).length > 0
        const { summary } = await runText(scenario(link, 4), pinned, { enough })
        assert.equal(summary.connects.admitted, 0)
        assert.deepEqual(Object.keys(summary.failures), [`server_not_trusted_${code}`])
      })
    }
  }
})

describe('the flags of a target', () => {
  const target = (flags: RunFlags) => findRunTarget({ target: {} }, flags, {}, null)
  for (const [what, flags, problem] of [
    ['a scheme that there is not', { broker: 'http://h' }, /expected mqtt:, mqtts:, ws:, wss:/],
    ['a user in the address', { broker: 'mqtt://u:p@h' }, /no user and password in the address/],
    ['a path without a WebSocket', { broker: 'mqtt://h/x' }, /no path/],
    ['a certificate without TLS', { broker: 'mqtt://h', certificate: 'x' }, /--certificate: only with mqtts/],
    ['a pin without TLS', { broker: 'ws://h', pin: 'a'.repeat(64) }, /--pin: only with mqtts/],
    ['a pin that is none', { broker: 'mqtts://h', identities: 'none', pin: 'abc' }, /64 hexadecimal digits/],
    [
      'both a pin and none',
      { broker: 'mqtts://h', identities: 'none', pin: 'a'.repeat(64), insecure: true },
      /exclude each other/,
    ],
    ['a password alone', { broker: 'mqtt://h', password: 'x' }, /--username/],
    [
      'a password file that is not there',
      { broker: 'mqtt://h', username: 'u', passwordFile: '/nowhere' },
      /cannot read/,
    ],
    [
      'an address as server name',
      { broker: 'mqtts://h', identities: 'none', servername: '127.0.0.1' },
      /expected a name/,
    ],
    ['nowhere to take certificates from', { broker: 'mqtts://h' }, /where do certificates come from/],
  ] as const) {
    it(`refuse ${what}`, () => assert.throws(() => target(flags), problem))
  }

  it('mean the usual port and path', () => {
    const at = (broker: string) => {
      const { host, port, path, url } = target({ broker, identities: 'none' }).broker
      return [host, port, path, url]
    }
    assert.deepEqual(at('mqtt://h'), ['h', 1883, '/mqtt', 'mqtt://h'])
    assert.deepEqual(at('mqtts://[::1]'), ['::1', 8883, '/mqtt', 'mqtts://[::1]'])
    assert.deepEqual(at('ws://h'), ['h', 80, '/mqtt', 'ws://h/mqtt'])
    assert.deepEqual(at('wss://h/x?y=1'), ['h', 443, '/x?y=1', 'wss://h/x?y=1'])
  })
})
