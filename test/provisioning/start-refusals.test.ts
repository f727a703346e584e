// What a start finds lost, taken or wrong: mended where it can be made again, refused in words where not.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkModes } from '../../cli/doctor/directory.ts'
import type { CheckContext } from '../../cli/doctor/finding.ts'
import { accessOf } from '../../db/directory-access.ts'
import { createProvisioning } from '../../provisioning/index.ts'
import { rollcall } from '../cli/running.ts'
import { hashes, startAndStop, startService, temporaryDirectory } from './harness.ts'

test('two provisioning services on one directory: the second one refuses, the first one goes on', async () => {
  await using first = await startService()
  await assert.rejects(
    startService({ data: first.directory }),
    /another provisioning service runs on .*--data/,
  )
  assert.equal((await first.call('GET', '/v1/whoami')).status, 200)
})

test('a lost token file gets a new token, and the old one is no longer accepted', async () => {
  using folder = temporaryDirectory()
  const old = await startAndStop(folder.path)
  rmSync(join(folder.path, 'admin.token'))
  await using service = await startService({ data: folder.path })
  assert.notEqual(service.token, old)
  assert.equal((await service.call('GET', '/v1/whoami', undefined, { token: old })).status, 401)
})

test('a lost CA certificate is written again from the registry, byte for byte', async () => {
  using folder = temporaryDirectory()
  await startAndStop(folder.path)
  const before = hashes(folder.path)
  rmSync(join(folder.path, 'ca.crt'))
  rmSync(join(folder.path, 'issuing.crt'))
  await startAndStop(folder.path)
  assert.deepEqual(hashes(folder.path), before)
})

test('the root key may be moved offline once the issuing CA exists', async () => {
  using folder = temporaryDirectory()
  await startAndStop(folder.path)
  rmSync(join(folder.path, 'keys/root.key'))
  await using service = await startService({ data: folder.path })
  assert.equal((await service.enroll('pump-1')).status, 'issued')
})

test('what is lost and cannot be made again stops the start with words that say what to do', async t => {
  const losses: [string, (directory: string) => void, RegExp][] = [
    ['the issuing key', d => rmSync(join(d, 'keys/issuing.key')), /issuing\.key is missing.*backup/],
    ['the registry', d => rmSync(join(d, 'registry.db')), /registry\.db is missing.*backup/],
    [
      'a damaged key',
      d => writeFileSync(join(d, 'keys/issuing.key'), 'no key'),
      /issuing\.key holds no readable private key/,
    ],
    [
      'a damaged certificate',
      d => writeFileSync(join(d, 'ca.crt'), 'no certificate'),
      /ca\.crt holds no readable certificate/,
    ],
    [
      'a key of somebody else',
      d => writeFileSync(join(d, 'keys/issuing.key'), readFileSync(join(d, 'keys/root.key'))),
      /is not the key of/,
    ],
    ['a damaged registry', d => writeFileSync(join(d, 'registry.db'), 'x'.repeat(8192)), /damaged.*backup/],
  ]
  for (const [name, lose, words] of losses) {
    await t.test(name, async () => {
      using folder = temporaryDirectory()
      await startAndStop(folder.path)
      lose(folder.path)
      await assert.rejects(startService({ data: folder.path }), words)
    })
  }
})

test('a directory that cannot be made, a port in use and bad settings are refused in clear words', async () => {
  using folder = temporaryDirectory()
  const file = join(folder.path, 'file')
  writeFileSync(file, '')
  const options = {
    data: join(folder.path, 'data'),
    host: '127.0.0.1',
    apiPort: 0,
    sans: [],
    log: 'silent' as const,
  }
  await assert.rejects(
    createProvisioning({ ...options, data: join(file, 'data') }),
    /cannot be written.*--data/,
  )
  await using busy = await startService()
  const port = Number(new URL(busy.url).port)
  await assert.rejects(createProvisioning({ ...options, apiPort: port }), /port is in use.*--api-port/)
  // Nothing stays open after a refused start: the same directory starts at once.
  await startAndStop(options.data)
  await assert.rejects(
    createProvisioning({ ...options, apiPort: 70_000, sans: ['not a name'], deviceDays: 0 }, {}),
    /API port 70000.*ROLLCALL_DEVICE_DAYS is 0.*--san "not a name"/,
  )
  await assert.rejects(
    createProvisioning(options, { ROLLCALL_DEVICE_DAYS: 'many' }),
    /ROLLCALL_DEVICE_DAYS is "many"/,
  )
})

test('a data directory that others may write is refused with the chmod to run, and left as it is', async () => {
  for (const mode of [0o777, 0o1777, 0o775, 0o702, 0o720]) {
    using folder = temporaryDirectory()
    chmodSync(folder.path, mode)
    await assert.rejects(startService({ data: folder.path }), {
      message: new RegExp(`${folder.path} can be written by others .*chmod 700 ${folder.path}`),
    })
    assert.equal(existsSync(join(folder.path, 'registry.db')), false)
    const { code, stderr } = await rollcall(['broker', '--data', folder.path, '--mqtts-port', '0'])
    assert.equal(code, 1)
    assert.match(stderr, /can be written by others/)
    assert.equal(checkModes({ data: folder.path } as CheckContext).at(0)?.verdict, 'warn')
    assert.ok(checkModes({ data: folder.path } as CheckContext).some(({ verdict }) => verdict === 'fail'))
  }
})

test('a volume that a container platform hands to a group of this process is taken', () => {
  assert.equal(accessOf({ mode: 0o042770, gid: 7 }, [7]), 'shared')
  assert.equal(accessOf({ mode: 0o042775, gid: 7 }, [7]), 'shared')
  assert.equal(accessOf({ mode: 0o042770, gid: 8 }, [7]), 'open')
  assert.equal(accessOf({ mode: 0o042777, gid: 7 }, [7]), 'open')
  assert.equal(accessOf({ mode: 0o040770, gid: 7 }, [7]), 'open')
  assert.equal(accessOf({ mode: 0o040755, gid: 7 }, [7]), 'own')
})
