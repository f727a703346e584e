// The same scenario against `rollcall up` and against Debian's mosquitto with mutual TLS: an operator revokes a device.
// Ours cuts it at once; mosquitto keeps it connected, since it reads its CRL when it starts and never asks again.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { connect as connectTls } from 'node:tls'
import * as x509 from '@peculiar/x509'
import { startMosquitto } from '../e2e/mosquitto-server.ts'
import { scratch, startSystem } from '../e2e/system.ts'
import { type Authority, createAuthority, usage } from '../harness/authority.ts'
import { runText } from './fakes/run.ts'

const DEVICES = 5
const scenario = (grace: string) => `
name: revocation
grace: ${grace}
groups:
  - name: meters
    count: ${DEVICES}
    id: meter-\${n}
    publish: [{ topic: 'devices/\${device}/telemetry', every: 200ms, qos: 1 }]
    subscribe: [{ filter: 'devices/\${device}/#', qos: 1 }]
stages: [{ kind: ramp, rate: 50 }, { kind: steady, for: 1h }]
actions: [{ at: 2s, do: revoke, group: meters, share: 20% }]
thresholds: ['lost = 0']
`

const byThemselves = `
name: EST
target: { identities: est }
groups: [{ name: self-made, count: 2 }]
stages: [{ kind: ramp, rate: 50, for: 1h }]
thresholds: ['connected = 100%']
`

describe('one scenario against two brokers', () => {
  it('finds that rollcall cuts a revoked device, nothing else wrong, and lets devices enroll by EST', async () => {
    using context = scratch()
    await using system = await startSystem(context.at('data'))
    const { summary } = await runText(
      scenario('1m'),
      { data: system.data },
      { enough: ({ refusals }) => (refusals['connack_5']?.expected ?? 0) > 0 },
    )
    assert.deepEqual(summary.verdict, { passed: true, exitCode: 0, breaches: [] })
    const [action] = summary.actions
    assert.deepEqual([action?.devices, action?.failed, action?.kept], [1, 0, 0])
    assert.equal(action?.cutMs.count, 1)
    assert.ok((summary.refusals['connack_5']?.expected ?? 0) > 0, 'it tried to come back and was refused')
    assert.equal(summary.population.connected, DEVICES - 1)
    const alone = await runText(
      byThemselves,
      { data: system.data },
      { enough: ({ population }) => population.connected === 2 },
    )
    assert.deepEqual(alone.summary.verdict, { passed: true, exitCode: 0, breaches: [] })
    assert.deepEqual([alone.summary.enrollment?.enrolled, alone.summary.connects.admitted], [2, 2])
  })

  it('finds that mosquitto keeps it connected', async () => {
    using context = scratch()
    const authority = await createAuthority()
    await using broker = await startStrict(context.path, authority)
    const operator = context.at('operator')
    // Publishes the CRL that lists the device, and tells mosquitto to read its configuration again.
    writeFileSync(
      operator,
      `#!/bin/sh\ncp '${context.path}'/"$2".crl '${broker.crl}' && kill -HUP ${broker.server.pid}\n`,
    )
    chmodSync(operator, 0o700)
    const flags = { broker: `mqtts://127.0.0.1:${broker.port}`, ca: broker.ca, directory: broker.devices }
    const { summary } = await runText(scenario('500ms'), flags, {
      operator,
      enough: ({ wronglyAdmitted }) => wronglyAdmitted > 0,
    })
    const [action] = summary.actions
    assert.deepEqual([action?.devices, action?.failed, action?.kept], [1, 0, 1])
    assert.equal(action?.cutMs.count, 0)
    assert.equal(summary.population.connected, DEVICES)
    assert.equal(summary.verdict.exitCode, 99)
    assert.deepEqual(
      summary.wronglyAdmitted.first.map(({ how, why }) => [how, why]),
      [['kept', 'revoke']],
    )
    assert.equal(summary.traffic.qos1.lost, 0)
  })
})

/** mosquitto as its handbook shows mutual TLS, and what devices need to get in. */
async function startStrict(directory: string, authority: Authority) {
  const file = (name: string, text: string): string => {
    writeFileSync(`${directory}/${name}`, text, { mode: 0o600 })
    return `${directory}/${name}`
  }
  const server = await authority.issue({ name: 'localhost', usages: [usage.serverAuth] })
  const devices = `${directory}/devices`
  mkdirSync(devices)
  let probe = server
  for (let number = 1; number <= DEVICES; number++) {
    const id = `meter-0000${number}`
    const identity = await authority.issue({ name: id })
    writeFileSync(`${devices}/${id}.pem`, `${identity.key}\n${identity.certificate}\n`)
    file(`${id}.crl`, await crlOf(authority, [new x509.X509Certificate(identity.certificate).serialNumber]))
    probe = identity
  }
  const ca = file('ca.crt', authority.certificate)
  const crl = file('ca.crl', await crlOf(authority, []))
  const configure = (port: number) =>
    file(
      'mosquitto.conf',
      [
        `listener ${port} 127.0.0.1`,
        `cafile ${ca}`,
        `crlfile ${crl}`,
        `certfile ${file('server.crt', server.certificate)}`,
        `keyfile ${file('server.key', server.key)}`,
        'require_certificate true',
        'use_identity_as_username true',
        'allow_anonymous false',
        `user ${process.env['USER'] ?? 'root'}`,
        '',
      ].join('\n'),
    )
  const broker = await startMosquitto(configure, port => handshakes(port, authority.certificate, probe))
  return { ...broker, ca, crl, devices }
}

async function crlOf(authority: Authority, serialNumbers: readonly string[]): Promise<string> {
  const crl = await x509.X509CrlGenerator.create({
    issuer: new x509.X509Certificate(authority.certificate).subject,
    thisUpdate: new Date(Date.now() - 60_000),
    nextUpdate: new Date(Date.now() + 86_400_000),
    entries: serialNumbers.map(serialNumber => ({ serialNumber, revocationDate: new Date() })),
    signingKey: authority.keyPair.privateKey,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  })
  return `${crl.toString('pem').replaceAll(' CRL-----', ' X509 CRL-----')}\n`
}

function handshakes(port: number, ca: string, { certificate, key }: { certificate: string; key: string }) {
  return new Promise<boolean>(resolve => {
    const socket = connectTls({ port, host: '127.0.0.1', ca, cert: certificate, key }, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
