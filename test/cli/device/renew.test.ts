// `rollcall device renew` as a device runs it: when it is due, stopped halfway, for a compromised key, and for ever.
import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { renewalOpensAt } from '../../../pki/renewal-window.ts'
import { makeCsr, type Service, startService } from '../../provisioning/harness.ts'
import { launch, rollcall, temporaryDirectory, until } from '../running.ts'

type Device = { directory: string; opensAt: number; fingerprint: string; args: string[] }

async function enrolled(service: Service, directory: string): Promise<Device> {
  const { csr, key } = makeCsr('p256')
  const issued = await service.enroll('pump-1', csr)
  writeFileSync(join(directory, 'device.key'), key, { mode: 0o600 })
  writeFileSync(join(directory, 'device.crt'), issued.certificate + issued.chain.join(''))
  writeFileSync(join(directory, 'ca.crt'), issued.ca)
  const files = ['--cert', join(directory, 'device.crt'), '--key', join(directory, 'device.key')]
  return {
    directory,
    fingerprint: issued.fingerprint,
    opensAt: renewalOpensAt({
      notBefore: Date.parse(issued.notBefore),
      notAfter: Date.parse(issued.notAfter),
    }),
    args: ['device', 'renew', ...files, '--api', service.url, '-o', 'json'],
  }
}

/** The fingerprint of the certificate in place; its key must fit. */
function inPlace({ directory }: Device, ending = ''): string {
  const certificate = new X509Certificate(readFileSync(join(directory, `device.crt${ending}`)))
  const key = createPrivateKey(readFileSync(join(directory, `device.key${ending}`)))
  assert.ok(certificate.checkPrivateKey(key))
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase()
}

test('renews once it is due, keeps the old pair, and leaves everything as it is before', async () => {
  using folder = temporaryDirectory()
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, folder.path)
  const early = await rollcall(device.args)
  assert.equal(early.code, 0, early.stderr)
  assert.match(early.stderr, /not due yet: renewal opens at/)
  assert.equal(inPlace(device), device.fingerprint)
  now = device.opensAt
  const ran = await rollcall(device.args)
  assert.equal(ran.code, 0, ran.stderr)
  const { renewed, fingerprint } = JSON.parse(ran.stdout)
  assert.equal(renewed, true)
  assert.equal(inPlace(device), fingerprint)
  assert.equal(inPlace(device, '.old'), device.fingerprint)
  assert.equal(statSync(join(folder.path, 'device.key')).mode & 0o777, 0o600)
  for (const left of ['device.key.new', 'device.crt.new'])
    assert.equal(existsSync(join(folder.path, left)), false)
})

test('goes on where it was stopped: after a lost answer, and between the two files', async () => {
  using folder = temporaryDirectory()
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, folder.path)
  const at = (name: string) => join(folder.path, name)
  now = device.opensAt
  const before = { key: readFileSync(at('device.key')), certificate: readFileSync(at('device.crt')) }
  assert.equal((await rollcall(device.args)).code, 0)
  const fresh = inPlace(device)
  // The answer was lost: the new key is there, the certificate never arrived.
  renameSync(at('device.key'), at('device.key.new'))
  writeFileSync(at('device.key'), before.key)
  writeFileSync(at('device.crt'), before.certificate)
  const again = await rollcall(device.args)
  assert.equal(again.code, 0, again.stderr)
  assert.equal(inPlace(device), fresh, 'the same key, the same certificate')
  // Stopped after the key was renamed, before the certificate was.
  renameSync(at('device.crt'), at('device.crt.new'))
  writeFileSync(at('device.crt'), before.certificate)
  const third = await rollcall(device.args)
  assert.equal(third.code, 0, third.stderr)
  assert.equal(inPlace(device), fresh)
})

test('for a compromised key it asks at once, and has the next pair once an operator approved; one that is refused is told why', async () => {
  using folder = temporaryDirectory()
  await using service = await startService()
  const device = await enrolled(service, folder.path)
  const asked = await rollcall([...device.args, '--compromise'])
  assert.equal(asked.code, 0, asked.stderr)
  const waiting = JSON.parse(asked.stdout)
  assert.deepEqual([waiting.renewed, waiting.status], [false, 'pending'])
  assert.equal(inPlace(device), device.fingerprint)
  await service.call('POST', `/v1/certificates/${waiting.fingerprint}/approve`)
  const ran = await rollcall([...device.args, '--compromise'])
  assert.equal(ran.code, 0, ran.stderr)
  assert.equal(inPlace(device), waiting.fingerprint)
  await service.call('POST', '/v1/devices/pump-1/suspend')
  const refused = await rollcall(device.args)
  assert.equal(refused.code, 1)
  const { error, hint, findings } = JSON.parse(refused.stderr)
  assert.equal(error, 'The device is suspended')
  assert.ok(hint)
  assert.deepEqual(findings, [{ path: 'certificate', message: 'device_suspended' }])
})

test('as a daemon it renews when the time has come, and ends on SIGTERM', async () => {
  using folder = temporaryDirectory()
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, folder.path)
  now = device.opensAt
  const { child, ended } = launch([...device.args, '--daemon'])
  await until(() => inPlaceOrNull(device) !== device.fingerprint, 'the certificate was renewed')
  child.kill('SIGTERM')
  const { code, stdout } = await ended
  assert.equal(code, 0)
  assert.match(stdout, /"renewed": ?true/)
})

/** Between two renames the files do not fit for a moment. */
function inPlaceOrNull(device: Device): string | null {
  try {
    return inPlace(device)
  } catch {
    return device.fingerprint
  }
}
