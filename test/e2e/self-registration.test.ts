// Devices of a maker's CA, from the first contact to the first message: openssl makes the PKI, rollcall's command line
// trusts it, mosquitto's clients arrive.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { asDevice, run, subscriber } from './mosquitto.ts'
import { type System, scratch, startSystem } from './system.ts'

describe('devices of a trust anchor', () => {
  const world = scratch()
  let system: System
  before(async () => {
    system = await startSystem(world.at('data'))
    await openssl(
      ...[
        'req',
        '-x509',
        '-new',
        ...newKey('ca'),
        '-out',
        world.at('ca.crt'),
        '-days',
        '30',
        '-subj',
        '/CN=Maker CA',
      ],
      ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    )
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  const newKey = (name: string) => [
    ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', world.at(`${name}.key`)],
  ]
  async function openssl(...args: string[]) {
    const { code, output } = await run('openssl', args)
    assert.equal(code, 0, output)
    return output
  }
  /** A certificate that the maker's CA signed. */
  async function made(name: string, commonName = name) {
    const [csr, certificate, extensions] = [world.at(`${name}.csr`), world.at(`${name}.crt`), world.at('ext')]
    writeFileSync(extensions, 'basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n')
    await openssl('req', '-new', ...newKey(name), '-out', csr, '-subj', `/O=Maker/CN=${commonName}`)
    const signer = ['-CA', world.at('ca.crt'), '-CAkey', world.at('ca.key'), '-CAcreateserial']
    await openssl(
      'x509',
      '-req',
      '-in',
      csr,
      ...signer,
      '-days',
      '20',
      '-extfile',
      extensions,
      '-out',
      certificate,
    )
    const ca = world.at('data', 'ca.crt')
    return { id: `maker-${name}`, files: { certificate, key: world.at(`${name}.key`), ca } }
  }
  type Made = Awaited<ReturnType<typeof made>>
  async function rollcall(...args: string[]) {
    const { code, stdout, stderr } = await system.run(...args)
    assert.equal(code, 0, stderr)
    return stdout + stderr
  }
  const publish = async (device: Made) => {
    const topic = `devices/${device.id}/hello`
    return run('mosquitto_pub', [...asDevice(system.mqttsPort, device), '-t', topic, '-m', 'x', '-q', '1'])
  }
  const registered = (device: Made, words: string) =>
    system.logged(new RegExp(`"deviceId":"${device.id}".*"msg":"${words}"`))

  it('register themselves once possession is proven, and are admitted when they connect again', async () => {
    await rollcall('issuer', 'add', world.at('ca.crt'), '--name', 'maker')
    const early = await made('early')
    assert.notEqual((await publish(early)).code, 0)
    const { nonce } = await system.ask<{ nonce: string }>('issuer', 'challenge', world.at('ca.crt'))
    const proof = await made('proof', nonce)
    await rollcall('issuer', 'prove', world.at('ca.crt'), proof.files.certificate)
    const template = `maker-\${cn}`
    await rollcall(
      ...['issuer', 'registration', world.at('ca.crt'), '--mode', 'active', '--name-template', template],
    )

    assert.notEqual((await publish(early)).code, 0, 'the first arrival is refused all the same')
    await registered(early, 'device registered itself')
    const again = await publish(early)
    assert.equal(again.code, 0, again.output)
    const shown = await system.ask<{ state: string }>('device', 'show', early.id)
    assert.equal(shown.state, 'active')
    assert.match(await rollcall('explain', proof.files.certificate), /would be refused/)
  })

  it('wait for approval where they are to, several at once', async () => {
    await rollcall('issuer', 'registration', world.at('ca.crt'), '--mode', 'pending')
    const devices = [await made('a'), await made('b'), await made('c')]
    for (const device of devices) assert.notEqual((await publish(device)).code, 0)
    for (const device of devices) await registered(device, 'device registered itself and waits for approval')
    assert.match((await publish(devices[0]!)).output, /not authori[sz]ed/i)
    assert.match(await rollcall('explain', devices[0]!.id), /certificate_pending/)
    const pending = await system.ask<{ fingerprint: string }[]>('certificate', 'list', '--status', 'pending')
    assert.equal(pending.length, 3)
    const certificates = devices.map(({ files }) => files.certificate)
    await rollcall('certificate', 'reject', certificates[2]!)
    const partly = await system.run('certificate', 'approve', ...certificates)
    assert.equal(partly.code, 1)
    assert.match(partly.stderr, /1 of 3 could not be decided: .*rejected/)
    assert.equal(partly.stdout.match(/ active$/gm)?.length, 2)
    for (const device of devices.slice(0, 2)) assert.equal((await publish(device)).code, 0)
    assert.match((await publish(devices[2]!)).output, /not authori[sz]ed/i)
  })

  it('are cut when the CRL of their CA lists them, and come back when it does no more', async () => {
    const listed = await made('listed')
    await rollcall('device', 'add', listed.id)
    await rollcall('certificate', 'register', listed.id, listed.files.certificate)
    const listener = await subscriber([...asDevice(system.mqttsPort, listed)], '-t', `devices/${listed.id}/#`)
    const { output } = await run('openssl', ['x509', '-in', listed.files.certificate, '-noout', '-serial'])
    const serial = output.trim().replace('serial=', '')
    const lists = async (...rows: string[]) => {
      const file = (name: string, content: string) => {
        writeFileSync(world.at(name), content)
        return world.at(name)
      }
      const [number, index] = [world.at('crlnumber'), file('index.txt', rows.join(''))]
      if (!existsSync(number)) file('crlnumber', '01\n')
      const own = `database=${index}\ncrlnumber=${number}\ncertificate=${world.at('ca.crt')}\nprivate_key=${world.at('ca.key')}`
      const config = file('ca.cnf', `[ca]\ndefault_ca=d\n[d]\ndefault_md=sha256\n${own}\n`)
      await openssl('ca', '-config', config, '-gencrl', '-crldays', '7', '-out', world.at('ca.crl'))
      return rollcall('issuer', 'crl', 'import', world.at('ca.crt'), world.at('ca.crl'))
    }
    const said = await lists(`R\t301231000000Z\t260101000000Z,superseded\t${serial}\tunknown\t/CN=x\n`)
    assert.match(said, /a CRL with 1 entry is in force; 1 session cut, 1 of 1 brokers acknowledged/)
    await listener.printed(/DISCONNECT|Error|reconnect/i).catch(() => {})
    assert.match((await publish(listed)).output, /not authori[sz]ed/i)
    assert.match(await rollcall('explain', listed.id), /certificate_revoked_by_issuer/)
    await listener.stop()
    assert.match(await lists(), /a CRL with 0 entries is in force/)
    assert.equal((await publish(listed)).code, 0)
    assert.match(await rollcall('issuer', 'crl', 'status', world.at('ca.crt')), /stale +false/)
  })

  it('never find a private key that somebody sent in the log', async () => {
    const device = await made('careless')
    const key = readFileSync(device.files.key, 'utf8')
    const csr = readFileSync(world.at('careless.csr'), 'utf8')
    await rollcall('device', 'add', device.id)
    for (const [path, body] of [
      [`/v1/devices/${device.id}/certificates`, { csr: csr + key }],
      [`/v1/devices/${device.id}/certificates`, { certificate: csr + key }],
      ['/v1/issuers', { certificate: readFileSync(world.at('ca.crt'), 'utf8') + key }],
    ] as const) {
      const answer = await system.api.call('POST', path, body)
      assert.equal(answer.status, 400)
      assert.match(JSON.stringify(answer.body), /private key/)
    }
    await system.logged(/"status":400/)
    const secret = key.split('\n')[1]!
    assert.ok(!system.log().includes(secret) && !system.log().includes('PRIVATE KEY'))
  })

  it('may not take the name of a device that is there', async () => {
    await rollcall('device', 'add', 'maker-taken')
    const thief = await made('taken')
    assert.notEqual((await publish(thief)).code, 0)
    await system.logged(/"reason":"device_exists".*"msg":"device may not register itself"/)
    assert.notEqual((await publish(thief)).code, 0)
    assert.match(await rollcall('issuer', 'arrivals', world.at('ca.crt')), /device_exists/)
    assert.match(
      await rollcall('explain', thief.files.certificate),
      /device maker-taken is registered already/,
    )
    assert.equal(await system.metric('rollcall_refusals_total{reason="registration_refused"}'), 1)
  })
})
