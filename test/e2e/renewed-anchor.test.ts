// A maker renews the certificate of its CA with the same name and key: the command line of an operator, and a
// device that enters throughout.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Issuer } from '../../client/types.ts'
import { createAuthority } from '../harness/authority.ts'
import { knock } from './devices.ts'
import { scratch, startSystem } from './system.ts'

test('an operator renews a trust anchor, retires its former certificate, and removes another one that is not used', async () => {
  using world = scratch()
  const maker = await createAuthority('Maker CA', { notAfter: new Date(Date.now() + 86_400_000) })
  const longer = await createAuthority('Maker CA', { keyPair: maker.keyPair })
  const unused = await createAuthority('Unused CA')
  const file = (name: string, pem: string) => {
    writeFileSync(world.at(name), pem)
    return world.at(name)
  }
  const old = file('old.crt', maker.certificate)
  await using system = await startSystem(world.at('data'))
  const asked = async (...args: string[]) => (await system.ask(...args)) as Issuer
  const added = await asked('issuer', 'add', old, '--name', 'maker')
  const device = await maker.issue({ name: 'pump-7' })
  assert.equal((await system.run('device', 'add', 'pump-7')).code, 0)
  const registered = await system.run('certificate', 'register', 'pump-7', file('p.crt', device.certificate))
  assert.equal(registered.code, 0, registered.stderr)
  const enters = async () => assert.equal(await knock(system.mqttsPort, 'pump-7', device), 'connack 0')
  await enters()

  const fresh = file('fresh.crt', longer.certificate)
  const renewed = await system.run('issuer', 'add', fresh)
  assert.equal(renewed.code, 0, renewed.stderr)
  assert.match(
    renewed.stderr,
    /maker is a trust anchor until .*\n.*took the place.*issuer retire [0-9a-f]{64}/s,
  )
  const shown = await asked('issuer', 'show', fresh)
  const [inForce, former] = shown.certificates
  assert.deepEqual([shown.id, shown.certificates.length], [added.id, 2])
  assert.ok(inForce && former && inForce.notAfter > former.notAfter)
  await enters()

  assert.equal((await system.run('issuer', 'retire', old)).code, 0)
  assert.equal((await asked('issuer', 'show', fresh)).certificates.length, 1)
  await enters()
  const refused = await system.run('issuer', 'remove', fresh)
  assert.deepEqual([refused.code, /a certificate on record names it/.test(refused.stderr)], [1, true])

  const other = file('unused.crt', unused.certificate)
  assert.equal((await system.run('issuer', 'add', other)).code, 0)
  assert.equal((await system.run('issuer', 'remove', other)).code, 0)
  const { stdout } = await system.run('issuer', 'list', '-o', 'jsonl')
  assert.doesNotMatch(stdout, /Unused/)
})
