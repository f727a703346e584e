// The keys of the CA under a passphrase: what is on disk, what opens it, and that a start refuses what it cannot trust.
import assert from 'node:assert/strict'
import { chmodSync, cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it, test } from 'node:test'
import { isMlDsa } from '../../../pki/key-policy.ts'
import { caKeyTypes, generateKey } from '../../../provisioning/ca/keys.ts'
import { openKey, sealKey } from '../../../provisioning/ca/sealed-key.ts'
import { rollcall } from '../../cli/running.ts'
import { openssl, startAndStop, startService, temporaryDirectory } from '../harness.ts'

for (const type of caKeyTypes)
  test(`a sealed ${type} key is opened by its passphrase alone, here and by openssl`, () => {
    using folder = temporaryDirectory()
    const key = generateKey(type)
    const pem = sealKey(key, 'correct horse battery')
    assert.ok(openKey(pem, 'correct horse battery')?.equals(key))
    assert.equal(openKey(pem, 'correct horse batterz'), null)
    assert.equal(openKey(pem.replace(/[A-Za-z0-9+/]{8}\n/, 'AAAAAAAA\n'), 'correct horse battery'), null)
    const file = join(folder.path, 'key')
    writeFileSync(file, pem)
    assert.match(openssl(['asn1parse', '-in', file]), /:scrypt[\s\S]*:4000[\s\S]*:aes-256-cbc/)
    assert.notEqual(sealKey(key, 'correct horse battery'), pem, 'salt and IV are new each time')
    // OpenSSL reads keys of ML-DSA from 3.5 on; Debian's is 3.0.
    if (isMlDsa(type)) return
    const opened = openssl(['pkey', '-in', file, '-passin', 'pass:correct horse battery'])
    assert.equal(opened, key.export({ type: 'pkcs8', format: 'pem' }))
  })

describe('a data directory with encrypted keys', () => {
  const world = temporaryDirectory()
  const data = join(world.path, 'data')
  const passphrase = join(world.path, 'passphrase')
  const other = join(world.path, 'other')
  const at = (name: string) => join(data, 'keys', name)
  before(async () => {
    writeFileSync(passphrase, 'a passphrase of some length\n', { mode: 0o600 })
    writeFileSync(other, 'another passphrase as long\n', { mode: 0o600 })
    await using _ = await startService({ data, caPassphraseFile: passphrase })
  })
  after(() => world[Symbol.dispose]())
  const refused = (options: Parameters<typeof startService>[0], says: RegExp) =>
    assert.rejects(startService({ data, ...options }), says)

  it('holds no key of a CA in the clear, and issues', async () => {
    for (const name of ['root.key', 'issuing.key']) {
      assert.match(readFileSync(at(name), 'utf8'), /^-----BEGIN ENCRYPTED PRIVATE KEY-----/)
      assert.equal(statSync(at(name)).mode & 0o777, 0o600)
    }
    await using service = await startService({ data, caPassphraseFile: passphrase })
    assert.match((await service.enroll('pump-1')).certificate, /BEGIN CERTIFICATE/)
  })

  it('does not start without its passphrase, with a wrong one, or with a file that cannot be one', async () => {
    const [empty, short, long] = ['', 'short', 'x'.repeat(2_000)].map((text, at) => {
      const file = join(world.path, `odd-${at}`)
      writeFileSync(file, text)
      return file
    })
    await refused({}, /issuing\.key is encrypted|root\.key is encrypted.*ROLLCALL_CA_PASSPHRASE_FILE/)
    await refused({ caPassphraseFile: other }, /passphrase in .*other does not open .*root\.key/)
    await refused({ caPassphraseFile: join(world.path, 'none') }, /none cannot be read \(ENOENT\)/)
    for (const odd of [empty, short]) await refused({ caPassphraseFile: odd ?? '' }, /at least 12 characters/)
    await refused({ caPassphraseFile: long ?? '' }, /longer than 1024 bytes/)
    const beside = join(data, 'passphrase')
    cpSync(passphrase, beside)
    await refused({ caPassphraseFile: beside }, /beside the keys it is to protect/)
    rmSync(beside)
    await startService({ data, caPassphraseFile: passphrase }).then(service => service[Symbol.asyncDispose]())
  })

  it('is put under another passphrase, also where that was interrupted halfway', async () => {
    const encrypt = (...args: string[]) => rollcall(['ca', 'encrypt', '--data', data, ...args, '-o', 'json'])
    const strange = await encrypt('--passphrase-file', other)
    assert.equal(strange.code, 1)
    assert.match(strange.stderr, /--old-passphrase-file/)
    const half = readFileSync(at('root.key'))
    const args = ['--passphrase-file', other, '--old-passphrase-file', passphrase]
    assert.equal((await encrypt(...args)).code, 0)
    writeFileSync(at('root.key'), half)
    const again = await encrypt(...args)
    const outcomes = JSON.parse(again.stdout).map(({ outcome }: { outcome: string }) => outcome)
    assert.deepEqual(outcomes, ['changed', 'unchanged'])
    await refused({ caPassphraseFile: passphrase }, /does not open/)
    const back = ['--passphrase-file', passphrase, '--old-passphrase-file', other]
    assert.equal((await encrypt(...back)).code, 0)
  })

  it('keeps its keys while the service runs', async () => {
    await using _ = await startService({ data, caPassphraseFile: passphrase })
    const { code, stderr } = await rollcall(['ca', 'encrypt', '--data', data, '--passphrase-file', other])
    assert.equal(code, 1)
    assert.match(stderr, /service runs[\s\S]*hint: stop it first/)
  })

  it('gives its root away in a file that is proven before the key goes', async () => {
    const file = join(world.path, 'root.pem')
    const run = (...args: string[]) =>
      rollcall(['ca', 'export-root', '--data', data, '--passphrase-file', other, ...args], {
        env: { ROLLCALL_CA_PASSPHRASE_FILE: passphrase },
      })
    assert.equal((await run(file)).code, 0)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.ok(existsSync(at('root.key')))
    assert.match((await run(file, '--remove')).stderr, /EEXIST[\s\S]*hint: name a new file/)
    assert.ok(existsSync(at('root.key')), 'a failed export removes nothing')
    rmSync(file)
    assert.equal((await run(file, '--remove')).code, 0)
    assert.equal(existsSync(at('root.key')), false)
    const exported = openssl(['pkey', '-in', file, '-passin', `file:${other}`, '-pubout'])
    assert.equal(exported, openssl(['x509', '-in', join(data, 'ca.crt'), '-noout', '-pubkey']))
    await using service = await startService({ data, caPassphraseFile: passphrase })
    await service.enroll('pump-2')
  })
})

test('keys in the clear are taken under a passphrase by one command; until then a start that wants one refuses', async () => {
  using world = temporaryDirectory()
  const data = join(world.path, 'data')
  const caPassphraseFile = join(world.path, 'passphrase')
  writeFileSync(caPassphraseFile, 'a passphrase of some length')
  await startAndStop(data)
  chmodSync(join(data, 'keys', 'issuing.key'), 0o644)
  await assert.rejects(startService({ data, caPassphraseFile }), /is not encrypted.*rollcall ca encrypt/)
  const { code } = await rollcall(['ca', 'encrypt', '--data', data, '--passphrase-file', caPassphraseFile])
  assert.equal(code, 0)
  assert.equal(statSync(join(data, 'keys', 'issuing.key')).mode & 0o777, 0o600)
  await using service = await startService({ data, caPassphraseFile })
  await service.enroll('pump-1')
})
