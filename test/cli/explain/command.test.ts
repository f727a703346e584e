// `rollcall explain` on files of every making: what it takes out of them, and what reaches the terminal.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { startUp, temporaryDirectory, type Up } from '../running.ts'

describe('explain', () => {
  const world = temporaryDirectory()
  const at = (name: string) => join(world.path, name)
  let up: Up
  before(async () => {
    up = await startUp(at('data'))
  })
  after(async () => {
    await up?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  function selfSigned(name: string, subject: string) {
    const [key, file] = [at(`${name}.key`), at(`${name}.crt`)]
    const request = ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-utf8', '-subj', subject]
    execFileSync('openssl', [...request, '-keyout', key, '-out', file], { stdio: 'ignore' })
    return { key, file }
  }

  it('explains a certificate it never saw, with the nearest device', async () => {
    await up.run('device', 'add', 'stranger-1')
    const { file } = selfSigned('stranger', '/CN=Stranger-1')
    const { code, stdout, stderr } = await up.run('explain', file)
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(
      stdout,
      /would be refused: certificate_self_signed\n.*nearest device by name: stranger-1 \(registered\)\n/,
    )
    assert.match(stdout, /^✓ key +keyType Ed25519/m)
    const missing = await up.run('explain', 'stranger-2')
    assert.match(
      missing.stderr,
      /^error: no device stranger-2 is registered; nearest device by name: stranger-1/,
    )
  })

  it('takes the first certificate out of a file and nothing else', async () => {
    const { key, file } = selfSigned('bundled', '/CN=bundled')
    const onlyKey = await up.run('explain', key)
    assert.equal(onlyKey.code, 1)
    assert.match(onlyKey.stderr, /holds no certificate, but a private key\nhint: .+/)
    const bundle = at('bundle.pem')
    const other = readFileSync(selfSigned('other', '/CN=other').file, 'utf8')
    writeFileSync(bundle, readFileSync(key, 'utf8') + readFileSync(file, 'utf8') + other)
    const bundled = await up.run('explain', bundle)
    assert.match(bundled.stdout, /subject CN=bundled/)
    assert.match(bundled.stderr, /holds 2 certificates: .*\n.*holds a private key too: it was not sent/)
    assert.ok(!`${bundled.stdout}${up.stderr()}`.includes(readFileSync(key, 'utf8').split('\n')[1]!))
    writeFileSync(bundle, Buffer.alloc(70_000, 'A'))
    assert.match((await up.run('explain', bundle)).stderr, /is too long to be a certificate/)
    assert.match((await up.run('explain', process.execPath)).stderr, /is too long to be a certificate/)
  })

  it('lets no certificate tell the terminal what to do', async () => {
    const { file } = selfSigned('hostile', '/O=x\u001b[2J\n✓ on_the_roll/CN=\u202e\u200fhostile\u0007')
    const { code, stdout } = await up.run('explain', file)
    assert.equal(code, 0)
    assert.match(stdout, /^✗ on_the_roll .*hostile/m)
    assert.doesNotMatch(stdout, /^✓ on_the_roll/m)
    for (const character of '\u001b\u0007\u202e\u200f') assert.ok(!stdout.includes(character))
  })
})
