// `sim --like aws-iot` beside AWS's own SDK at one server: what each offers in TLS and says in CONNECT.
// The SDK takes 56 MB: `npm run interop` installs it beside and runs this file.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { createServer, type TLSSocket } from 'node:tls'
import { generate, type IConnectPacket, parser } from 'mqtt-packet'
import { makeRequest } from '../../device-sim/enrollment/identity.ts'
import { createAuthority } from '../device-sim/fakes/authority.ts'
import { run } from '../e2e/mosquitto.ts'

const sdk = process.env['ROLLCALL_AWS_IOT_SDK']
const main = join(import.meta.dirname, '../../device-sim/package/main.ts')

/** Connects with the builder's settings, asks for QoS 2, and leaves. */
const theirs = `
const { mqtt5, iot } = require(process.env.ROLLCALL_AWS_IOT_SDK)
const [port, ca, certificate, key] = process.argv.slice(1)
setTimeout(() => process.exit(3), 20000)
const builder = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath('localhost', certificate, key)
builder.withCertificateAuthorityFromPath(undefined, ca).withPort(Number(port)).withConnectProperties({ clientId: 'theirs', keepAliveIntervalSeconds: 60 })
const client = new mqtt5.Mqtt5Client(builder.build())
client.on('connectionSuccess', async ({ settings }) => {
  const qos2 = await client.publish({ qos: 2, topicName: 'a', payload: '' }).then(() => 'sent', () => 'refused')
  console.log(JSON.stringify({ qosMax: settings.maximumQos, qos2 }))
  client.stop()
})
client.on('stopped', () => process.exit(0))
client.start()
`

type Seen = { alpn: string | false | null; certificate: boolean; connect: IConnectPacket }

async function stage(t: TestContext) {
  const authority = await createAuthority()
  const directory = mkdtempSync(join(tmpdir(), 'like-aws-'))
  const { key, csr } = await makeRequest('device', 'p256')
  const { pem } = await authority.issue(csr, 'device', new Date(Date.now() + 86_400_000))
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 })
    return join(directory, name)
  }
  const files = {
    ca: file('ca.pem', authority.rootPem),
    certificate: file('device.pem', [pem, ...authority.chain].join('')),
    key: file('device.key', key),
  }
  const seen: Seen[] = []
  const sockets = new Set<TLSSocket>()
  const server = createServer(
    {
      key: authority.serverKey,
      cert: authority.serverChain,
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ['mqtt', 'x-amzn-mqtt-ca'],
    },
    socket => {
      sockets.add(socket.on('error', () => {}))
      const incoming = parser({ protocolVersion: 5 })
      incoming.on('packet', packet => {
        if (packet.cmd !== 'connect') return
        const certificate = socket.getPeerX509Certificate() !== undefined
        seen.push({ alpn: socket.alpnProtocol, certificate, connect: packet })
        // As the service does, it grants QoS 1.
        const properties = { maximumQoS: 1 as const }
        const answer = { cmd: 'connack', reasonCode: 0, sessionPresent: false, properties } as const
        socket.write(generate(answer, { protocolVersion: 5 }))
      })
      socket.on('data', (bytes: Buffer) => incoming.parse(bytes))
    },
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
    rmSync(directory, { recursive: true, force: true })
  })
  return { files, seen, port: (server.address() as AddressInfo).port }
}

function said({ alpn, certificate, connect }: Seen) {
  const { protocolId, protocolVersion, clean, keepalive, username, password, will } = connect
  const user = `${username}`.split('=')[0]
  return { alpn, certificate, protocolId, protocolVersion, clean, keepalive, user, password, will }
}

describe("a device like AWS's SDK", { skip: !sdk && 'on demand: npm run interop' }, () => {
  it('offers and says what the SDK does', async t => {
    const { files, seen, port } = await stage(t)
    const sdkRun = await run(process.execPath, [
      '-e',
      theirs,
      `${port}`,
      files.ca,
      files.certificate,
      files.key,
    ])
    assert.deepEqual([sdkRun.code, JSON.parse(sdkRun.output)], [0, { qosMax: 1, qos2: 'refused' }])
    const target = [
      '--broker',
      `mqtts://localhost:${port}`,
      '--certificate',
      files.certificate,
      '--key',
      files.key,
    ]
    const flags = [...target, '--ca', files.ca, '--like', 'aws-iot', '-V', 'mqttv5', '--devices', '1']
    await run(process.execPath, [main, ...flags, '--duration', '1s'])
    const [sdkSaid, ours] = seen
    assert.ok(sdkSaid && ours)
    assert.equal(sdkSaid.alpn, 'x-amzn-mqtt-ca')
    assert.deepEqual(said(ours), said(sdkSaid))
    const refused = await run(process.execPath, [main, ...flags, '--qos', '2'])
    assert.equal(refused.code, 2)
    assert.match(refused.output, /the QoS is 2, and the service takes 1 at most/)
  })
})
