// The commands of an operator against real services: adding, enrolling, explaining, revoking, and being told off.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { rollcall, startUp, temporaryDirectory, type Up } from '../running.ts'

describe('the commands of an operator', () => {
  const world = temporaryDirectory()
  const at = (...names: string[]) => join(world.path, ...names)
  let up: Up
  before(async () => {
    up = await startUp(at('data'))
  })
  after(async () => {
    await up?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  async function enrolled(id: string, ...more: string[]) {
    assert.equal((await up.run('device', 'add', id)).code, 0)
    const ran = await up.run('device', 'enroll', id, '--out', at(id), '-o', 'json', ...more)
    assert.equal(ran.code, 0, ran.stderr)
    return JSON.parse(ran.stdout) as { fingerprint: string; files: Record<string, string> }
  }

  /** Exit code of a real client that publishes as this device. */
  function publish(id: string): number {
    const { hostname, port } = new URL(up.ready.mqtts)
    const flags = ['-h', hostname, '-p', port, '-i', id, '-t', `devices/${id}/t`, '-m', '1', '-q', '1']
    const files = [
      '--cafile',
      at(id, 'ca.crt'),
      '--cert',
      at(id, 'device.crt'),
      '--key',
      at(id, 'device.key'),
    ]
    try {
      execFileSync('mosquitto_pub', [...flags, ...files], { stdio: 'ignore', timeout: 60_000 })
      return 0
    } catch (error) {
      return (error as { status: number }).status
    }
  }

  it('adds a device with attributes and groups', async () => {
    const flags = ['--attr', 'site=north', '--attr', 'url=a=b', '--group', 'pumps', '--group', 'north']
    const { code, stdout } = await up.run('device', 'add', 'pump-1', ...flags, '-o', 'json')
    assert.equal(code, 0)
    const device = JSON.parse(stdout)
    assert.deepEqual(device.attributes, { site: 'north', url: 'a=b' })
    assert.deepEqual(device.groups.toSorted(), ['north', 'pumps'])
    const again = await up.run('device', 'add', 'pump-1')
    assert.equal(again.code, 1)
    assert.match(again.stderr, /^error: .*pump-1.*\nhint: .+/)
  })

  for (const keyType of ['p256', 'p384', 'ed25519', 'rsa2048']) {
    it(`enrolls a device with a ${keyType} key that openssl reads and mosquitto_pub connects with`, async () => {
      const id = `kt-${keyType}`
      const { fingerprint, files } = await enrolled(id, '--key-type', keyType, '--days', '7')
      assert.deepEqual(files, {
        key: at(id, 'device.key'),
        certificate: at(id, 'device.crt'),
        ca: at(id, 'ca.crt'),
      })
      assert.equal(statSync(at(id, 'device.key')).mode & 0o777, 0o600)
      execFileSync('openssl', ['pkey', '-in', at(id, 'device.key'), '-noout', '-check'], { stdio: 'ignore' })
      const chain = readFileSync(at(id, 'device.crt'), 'utf8').match(
        /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g,
      )
      assert.equal(chain?.length, 2)
      const leaf = new X509Certificate(chain?.[0] ?? '')
      assert.equal(leaf.fingerprint256.replaceAll(':', '').toLowerCase(), fingerprint)
      assert.ok(leaf.checkPrivateKey(createPrivateKey(readFileSync(at(id, 'device.key')))))
      assert.ok(Math.abs(leaf.validToDate.getTime() - Date.now() - 7 * 86_400_000) < 60_000)
      assert.equal(
        readFileSync(at(id, 'ca.crt'), 'utf8').trim(),
        readFileSync(at('data', 'ca.crt'), 'utf8').trim(),
      )
      assert.equal(publish(id), 0)
    })
  }

  it('enrolls with a request whose key never came here', async () => {
    await up.run('device', 'add', 'own-key')
    const [key, csr, out] = [at('own.key'), at('own.csr'), at('own.crt')]
    const request = ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    execFileSync('openssl', [...request, '-keyout', key, '-out', csr, '-subj', '/CN=own-key'], {
      stdio: 'ignore',
    })
    const { code, stderr } = await up.run('device', 'enroll', 'own-key', '--csr', csr, '--out', out)
    assert.equal(code, 0, stderr)
    assert.ok(new X509Certificate(readFileSync(out)).checkPrivateKey(createPrivateKey(readFileSync(key))))
    const again = await up.run('device', 'enroll', 'own-key', '--csr', csr, '--out', out)
    assert.equal(again.code, 1)
    assert.match(again.stderr, /^error: .*own\.crt exists already\nhint: .+/)
  })

  it('never sends a private key that was named by mistake', async () => {
    await up.run('device', 'add', 'mistaken')
    const key = at('mistaken.key')
    execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', key])
    const { code, stderr } = await up.run(
      'device',
      'enroll',
      'mistaken',
      '--csr',
      key,
      '--out',
      at('mistaken.crt'),
    )
    assert.equal(code, 2)
    assert.match(stderr, /is no certificate request in PEM\nhint: make one: openssl req/)
    assert.equal(existsSync(at('mistaken.crt')), false)
  })

  it('never overwrites what an enrollment left', async () => {
    await enrolled('once')
    const key = readFileSync(at('once', 'device.key'))
    const again = await up.run('device', 'enroll', 'once', '--out', at('once'))
    assert.equal(again.code, 1)
    assert.match(again.stderr, /holds an enrolled device already .*\nhint: .+/)
    assert.deepEqual(readFileSync(at('once', 'device.key')), key)
  })

  it('uses the key again after an answer was lost, and no key of another type', async () => {
    await enrolled('lost')
    const key = readFileSync(at('lost', 'device.key'))
    rmSync(at('lost', 'device.crt'))
    const other = await up.run('device', 'enroll', 'lost', '--out', at('lost'), '--key-type', 'rsa2048')
    assert.equal(other.code, 1)
    assert.match(other.stderr, /exists and is no rsa2048 key\nhint: .+/)
    const again = await up.run('device', 'enroll', 'lost', '--out', at('lost'))
    assert.equal(again.code, 0, again.stderr)
    assert.match(again.stderr, /was used/)
    assert.deepEqual(readFileSync(at('lost', 'device.key')), key)
    assert.equal(publish('lost'), 0)
  })

  it('says that a device must be added first', async () => {
    const { code, stderr } = await up.run('device', 'enroll', 'nobody', '--out', at('nobody'))
    assert.equal(code, 1)
    assert.match(
      stderr,
      /^error: there is no device nobody on the roll\nhint: add it first: .*rollcall device add nobody\n$/,
    )
  })

  it('revokes by file or fingerprint, shows the receipt, and explains the refusal', async () => {
    const { fingerprint } = await enrolled('doomed')
    assert.equal(publish('doomed'), 0)
    const file = at('doomed', 'device.crt')
    const revoked = await up.run('certificate', 'revoke', file, '--reason', 'keyCompromise', '-o', 'json')
    assert.equal(revoked.code, 0, revoked.stderr)
    const receipt = JSON.parse(revoked.stdout)
    assert.equal(receipt.fingerprint, fingerprint)
    assert.equal(receipt.status, 'revoked')
    assert.equal(receipt.nodesAcknowledged, 1)
    assert.match(revoked.stderr, /is revoked; 0 sessions cut, 1 of 1 brokers acknowledged/)
    assert.notEqual(publish('doomed'), 0)
    for (const subject of [
      'doomed',
      fingerprint,
      file,
      fingerprint.toUpperCase().replace(/(..)(?!$)/g, '$1:'),
    ]) {
      const { code, stdout } = await up.run('explain', subject)
      assert.equal(code, 0)
      assert.match(stdout, /would be refused: certificate_revoked/)
      assert.match(stdout, /^✓ on_the_roll /m)
      assert.match(stdout, /^✗ certificate_status +certificate_revoked: /m)
      assert.match(stdout, /^What to do: .+/m)
    }
    const explained = await up.run('explain', fingerprint, '-o', 'json')
    assert.equal(JSON.parse(explained.stdout).reason, 'certificate_revoked')
  })

  it('suspends, activates and decommissions', async () => {
    await enrolled('moody')
    const states = []
    for (const verb of ['suspend', 'activate', 'decommission']) {
      const { code, stdout } = await up.run('device', verb, 'moody', '-o', 'json')
      assert.equal(code, 0)
      states.push(JSON.parse(stdout).state)
      assert.equal(publish('moody') === 0, verb === 'activate', verb)
    }
    assert.deepEqual(states, ['suspended', 'active', 'decommissioned'])
    const { code, stderr } = await up.run('device', 'activate', 'moody')
    assert.equal(code, 1)
    assert.match(stderr, /^error: .*decommissioned.*\nhint: .+/)
  })

  it('lists in every format, with filters and a limit', async () => {
    for (const id of ['list-a', 'list-b', 'list-c']) await up.run('device', 'add', id, '--group', 'listed')
    const list = async (...more: string[]) => {
      const { code, stdout, stderr } = await up.run('device', 'list', '--group', 'listed', ...more)
      assert.equal(code, 0, stderr)
      return stdout
    }
    const ids = ['list-a', 'list-b', 'list-c']
    const idsOf = (devices: { id: string }[]) => devices.map(device => device.id)
    assert.deepEqual(idsOf(JSON.parse(await list('-o', 'json'))), ids)
    assert.deepEqual(idsOf(parse(await list('-o', 'yaml'))), ids)
    const lines = (await list('-o', 'jsonl')).trim().split('\n')
    assert.deepEqual(idsOf(lines.map(line => JSON.parse(line))), ids)
    assert.deepEqual(
      (await list())
        .trim()
        .split('\n')
        .map(line => line.split(/\s+/)[0]),
      ['ID', ...ids],
    )
    assert.deepEqual(idsOf(JSON.parse(await list('-o', 'json', '--limit', '2'))), ids.slice(0, 2))
    assert.deepEqual(idsOf(JSON.parse(await list('-o', 'json', '--prefix', 'list-c'))), ['list-c'])
    assert.equal(await list('--state', 'suspended', '-o', 'json'), '[]\n')
  })

  it('copies the registry while everything runs, into a new file only', async () => {
    const file = at('copy.db')
    assert.equal((await up.run('backup', file)).code, 0)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(readFileSync(file).subarray(0, 15).toString(), 'SQLite format 3')
    assert.equal((await up.run('backup', file)).code, 1)
    const nowhere = await rollcall(['backup', at('other.db'), '--data', at('nowhere')])
    assert.equal(nowhere.code, 1)
    assert.match(nowhere.stderr, /^error: .*no registry at .*\nhint: check --data\n$/)
  })

  it('says what to do about a wrong token, a wrong CA and a service that is not there', async () => {
    writeFileSync(at('wrong.token'), 'rc_wrong\n')
    const good = { api: up.ready.api, token: at('data', 'admin.token'), ca: at('data', 'ca.crt') }
    const list = (named: typeof good) =>
      rollcall(['device', 'list', '--api', named.api, '--token-file', named.token, '--ca', named.ca])
    assert.equal((await list(good)).code, 0)
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ed25519',
        '-nodes',
        '-subj',
        '/CN=other',
        '-keyout',
        at('o.key'),
        '-out',
        at('o.crt'),
      ],
      { stdio: 'ignore' },
    )
    const cases: [typeof good, RegExp][] = [
      [{ ...good, token: at('wrong.token') }, /token/],
      [{ ...good, ca: at('o.crt') }, /certificate of another CA/],
      [{ ...good, api: 'https://127.0.0.1:1' }, /refuses connections/],
      [{ ...good, api: up.ready.mqtts.replace('mqtts', 'https') }, /cannot be reached/],
      [{ ...good, token: at('absent') }, /no such file/],
    ]
    for (const [named, expected] of cases) {
      const { code, stderr, stdout } = await list(named)
      assert.equal(code, 1, stderr)
      assert.match(stderr, expected)
      assert.match(stderr, /\nhint: .+/)
      assert.equal(stdout, '')
    }
  })
})
