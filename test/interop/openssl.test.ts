// Keys and requests as openssl makes them, what is issued for them as openssl judges it, and the TLS it is offered.
import assert from 'node:assert/strict'
import { copyFileSync, existsSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { type Device, enroll } from '../e2e/devices.ts'
import { asDevice, run } from '../e2e/mosquitto.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'
import { connectPacket } from '../harness/broker.ts'

const ec = (curve: string) => ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`]
const rsa = (bits: number) => ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`]
const acceptable = {
  p256: ec('P-256'),
  p384: ec('P-384'),
  ed25519: ['-algorithm', 'ED25519'],
  rsa2048: rsa(2048),
  rsa3072: rsa(3072),
}
const unacceptable = {
  p521: ec('P-521'),
  secp256k1: ec('secp256k1'),
  rsa1024: rsa(1024),
  ed448: ['-algorithm', 'ED448'],
}

/** CONNECT, then DISCONNECT: the broker answers the first and closes at the second. */
const visit = (clientId: string) => Buffer.concat([connectPacket({ clientId }), Buffer.from([0xe0, 0])])
const ACCEPTED = '\x20\x02\x00\x00'

describe('openssl', () => {
  const world = scratch()
  let system: System
  before(async () => {
    system = await startSystem(world.at('data'))
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  /** A key and a request for it, made in two steps as handbooks show them. */
  async function request(id: string, algorithm: readonly string[]) {
    const [key, csr] = [world.at(`${id}.key`), world.at(`${id}.csr`)]
    const made = await run('openssl', ['genpkey', ...algorithm, '-out', key])
    assert.equal(made.code, 0, made.output)
    const asked = await run('openssl', [
      'req',
      '-new',
      '-key',
      key,
      '-subj',
      `/O=Somebody/CN=${id}`,
      '-out',
      csr,
    ])
    assert.equal(asked.code, 0, asked.output)
    return { key, csr }
  }

  const verify = (file: string, ...purpose: string[]) =>
    run('openssl', [
      'verify',
      '-x509_strict',
      '-CAfile',
      world.at('data', 'ca.crt'),
      '-untrusted',
      file,
      ...purpose,
      file,
    ])

  /** One visit by s_client; gives what it printed, the broker's bytes among it. */
  const client = (flags: readonly string[], device: Pick<Device, 'id' | 'files'>) =>
    run(
      'openssl',
      ['s_client', '-connect', `127.0.0.1:${system.mqttsPort}`, '-brief', '-ign_eof', '-verify_return_error']
        .concat(['-CAfile', device.files.ca, '-verify_hostname', 'localhost'])
        .concat([
          '-cert',
          device.files.certificate,
          '-cert_chain',
          device.files.certificate,
          '-key',
          device.files.key,
        ])
        .concat(flags),
      visit(device.id),
    )

  for (const [type, algorithm] of Object.entries(acceptable)) {
    it(`enrolls with a ${type} request, verifies what it is given, and is admitted with TLS 1.2 and 1.3`, async () => {
      const { key, csr } = await request(type, algorithm)
      const certificate = world.at(`${type}.crt`)
      await system.ask('device', 'add', type)
      const { keyType } = await system.ask<{ keyType: string }>(
        'device',
        'enroll',
        type,
        '--csr',
        csr,
        '--out',
        certificate,
      )
      assert.match(type, new RegExp(`^${keyType}`))
      const judged = await verify(certificate, '-purpose', 'sslclient')
      assert.equal(judged.code, 0, judged.output)
      assert.notEqual((await verify(certificate, '-purpose', 'sslserver')).code, 0)
      const text = (await run('openssl', ['x509', '-in', certificate, '-noout', '-text'])).output
      assert.match(text, new RegExp(`Subject: CN = ${type}\n`))
      assert.match(text, new RegExp(`URI:urn:rollcall:device:${type}\n`))
      assert.match(text, /Key Usage: critical\n\s+Digital Signature\n/)
      assert.match(text, /Extended Key Usage: ?\n\s+TLS Web Client Authentication\n/)
      assert.doesNotMatch(text, /Somebody|CA:TRUE/)
      const device = { id: type, files: { certificate, key, ca: world.at('data', 'ca.crt') } }
      for (const version of ['tls1_2', 'tls1_3']) {
        const { output } = await client([`-${version}`], device)
        assert.match(output, new RegExp(`Protocol version: TLSv1.${version.at(-1)}`))
        assert.match(output, /Verification: OK/)
        assert.ok(output.includes(ACCEPTED), output)
      }
      const message = ['-t', `devices/${type}/t`, '-m', '1', '-q', '1']
      assert.equal((await run('mosquitto_pub', [...asDevice(system.mqttsPort, device), ...message])).code, 0)
    })
  }

  for (const [type, algorithm] of Object.entries(unacceptable)) {
    it(`is told why a ${type} key is refused, and is left with nothing`, async () => {
      const { csr } = await request(type, algorithm)
      await system.ask('device', 'add', type)
      const out = world.at(`${type}.crt`)
      const { code, stderr } = await system.run('device', 'enroll', type, '--csr', csr, '--out', out)
      assert.equal(code, 1)
      assert.match(
        stderr,
        /^error: .*key.*\n(.*\n)*hint: Use P-256, P-384, Ed25519, RSA of at least 2048 bits/m,
      )
      assert.equal(existsSync(out), false)
    })
  }

  it('is offered neither TLS 1.1 nor a suite without ephemeral keys and authenticated encryption', async () => {
    const device = await enroll(system.api, world.path, 'dated')
    const refused = [
      ['-tls1_1', '-cipher', 'ALL@SECLEVEL=0'],
      ['-tls1', '-cipher', 'ALL@SECLEVEL=0'],
      ['-tls1_2', '-cipher', 'AES128-GCM-SHA256'],
      ['-tls1_2', '-cipher', 'AES256-SHA256'],
      ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256'],
      ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES256-SHA'],
      ['-tls1_2', '-cipher', 'DHE-RSA-AES128-GCM-SHA256'],
      ['-tls1_2', '-cipher', 'aNULL@SECLEVEL=0'],
    ]
    for (const flags of refused) {
      const { code, output } = await client(flags, device)
      assert.notEqual(code, 0, flags.join(' '))
      assert.match(output, /alert (protocol version|handshake failure)/, flags.join(' '))
      assert.ok(!output.includes(ACCEPTED))
    }
    const modern = ['-tls1_2', '-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305']
    assert.ok((await client(modern, device)).output.includes(ACCEPTED))
    assert.equal(await system.metric('rollcall_refusals_total{reason="handshake_failed"}'), refused.length)
  })

  it('verifies the server certificate for every name the broker is reached by, and for no other', async () => {
    const certificate = world.at('server.crt')
    copyFileSync(world.at('data', 'server.crt'), certificate)
    for (const name of [
      ['-verify_hostname', 'localhost'],
      ['-verify_ip', '127.0.0.1'],
      ['-verify_ip', '::1'],
    ]) {
      const { code, output } = await verify(certificate, '-purpose', 'sslserver', ...name)
      assert.equal(code, 0, output)
    }
    assert.notEqual((await verify(certificate, '-verify_hostname', 'elsewhere.example')).code, 0)
    assert.notEqual((await verify(certificate, '-purpose', 'sslclient')).code, 0)
  })

  it('is cut where it renegotiates', async () => {
    const { files } = await enroll(system.api, world.path, 'restless')
    const address = ['s_client', '-connect', `127.0.0.1:${system.mqttsPort}`, '-tls1_2', '-CAfile', files.ca]
    const { output } = await run(
      'openssl',
      [...address, '-cert', files.certificate, '-key', files.key],
      'R\n',
    )
    // What it prints to its two streams comes in any order.
    assert.match(output, /Verify return code: 0/)
    assert.match(output, /RENEGOTIATING.*no renegotiation/s)
  })
})
