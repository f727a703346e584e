// The Debian package and the tarball: the same bytes from the same tree, and dpkg's own way from installation to purge, in a root
// of its own that holds no more than the package depends on.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { schemaVersion } from '../../db/migrate.ts'
import { rollcall, startUp, temporaryDirectory } from '../cli/running.ts'
import { makeOlderRegistry } from '../harness/older-registry.ts'
import { copySourceTree, quickBuild } from './source-tree.ts'

const isRoot = process.getuid?.() === 0
/** From before devices had a last connection on record. */
const OLDER_SCHEMA = 20
const settings = { SOURCE_DATE_EPOCH: '1790000000', COMPRESSION: 'gzip', ...quickBuild }
const world = temporaryDirectory()
const at = (...names: string[]) => join(world.path, ...names)
const root = at('root')
after(() => world[Symbol.dispose]())

let deb: string
let tarball: string

before(() => {
  copySourceTree(at('source'))
  copySourceTree(at('again'))
  ;[deb, tarball] = build(at('source'), at('first')) as [string, string]
})

/** Gives the files that were made. */
function build(source: string, folder: string): string[] {
  const env = { ...process.env, ...settings }
  const script = join(source, 'deploy/debian/build.sh')
  return execFileSync(script, [folder], { cwd: source, env, encoding: 'utf8' }).trim().split('\n')
}

it('makes the same bytes of the same tree in another folder, with other modes and times', () => {
  chmodSync(at('again/docs'), 0o700)
  chmodSync(at('again/deploy/debian/rollcall.env'), 0o600)
  const again = build(at('again'), at('second'))
  assert.ok(readFileSync(deb).equals(readFileSync(again[0]!)), 'package')
  assert.ok(readFileSync(tarball).equals(readFileSync(again[1]!)), 'tarball')
})

it('makes a tarball that runs where it is unpacked', async () => {
  mkdirSync(at('unpacked'))
  execFileSync('tar', ['-xzf', tarball, '-C', at('unpacked'), '--strip-components=1'])
  const command = ['./rollcall']
  const { stdout } = await rollcall(['--version'], { command, cwd: at('unpacked') })
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
  const failed = await rollcall(['status', '--data', 'nowhere'], { command, cwd: at('unpacked') })
  assert.match(failed.stderr, /\.\/rollcall/, 'hints name the command that was run')
  rmSync(at('unpacked'), { recursive: true })
})

describe('dpkg', { skip: isRoot ? false : 'only root may install packages' }, () => {
  before(makeRoot)

  const dpkg = (...args: string[]) =>
    execFileSync('dpkg', [`--root=${root}`, '--force-unsafe-io', ...args], { encoding: 'utf8' })
  const inside = ['chroot', '--userspec=rollcall:rollcall', root, '/usr/bin/rollcall']
  const data = '/var/lib/rollcall'
  const up = () => startUp(data, [], { command: inside })

  it('installs it; it serves a device, is upgraded with its data, and leaves them when purged', {
    timeout: 400_000,
  }, async () => {
    assert.match(dpkg('--install', deb), /systemctl enable --now rollcall/)
    const { mode, uid } = statSync(join(root, data))
    assert.equal(mode & 0o777, 0o700)
    assert.ok(uid > 0)
    const unit = readFileSync(join(root, 'usr/lib/systemd/system/rollcall.service'), 'utf8')
    assert.match(unit, /^ExecStart=\/usr\/bin\/rollcall up --data %S\/rollcall /m)
    assert.ok(existsSync(join(root, 'usr/share/man/man1/rollcall-device.1.gz')))
    {
      await using service = await up()
      assert.equal((await service.run('device', 'add', 'sensor-1')).code, 0)
      const enrolled = await service.run('device', 'enroll', 'sensor-1', '--out', `${data}/sensor-1`)
      assert.equal(enrolled.code, 0, enrolled.stderr)
      assert.equal(
        (await service.run('device', 'add', 'spare', '--group', 'pumps', '--attr', 'site=north')).code,
        0,
      )
      assert.equal((await service.run('device', 'suspend', 'spare')).code, 0)
      publish(service.ready.mqtts)
      assert.equal(await service.end(), 0)
    }
    leaveOlderRegistry(OLDER_SCHEMA)
    const settings = join(root, 'etc/rollcall/rollcall.env')
    writeFileSync(settings, 'ROLLCALL_FLAGS=--san broker.example.net\n')
    dpkg('--force-confold', '--install', newer())
    assert.match(readFileSync(settings, 'utf8'), /broker\.example/, 'what the operator wrote stays')
    {
      await using service = await up()
      publish(service.ready.mqtts)
      const listed = await service.run('device', 'list', '-o', 'json')
      const devices = JSON.parse(listed.stdout) as {
        id: string
        state: string
        groups: string[]
        attributes: object
      }[]
      assert.deepEqual(
        devices.map(({ id, state, groups, attributes }) => [id, state, groups, attributes]),
        [
          ['sensor-1', 'active', [], {}],
          ['spare', 'suspended', ['pumps'], { site: 'north' }],
        ],
      )
      const verified = await service.run('audit', 'verify')
      assert.equal(verified.code, 0, verified.stderr)
      assert.equal(await service.end(), 0)
    }
    assert.equal(schemaOf(join(root, data, 'registry.db')), schemaVersion)
    dpkg('--remove', 'rollcall')
    assert.ok(!existsSync(join(root, 'usr/lib/rollcall')))
    assert.ok(existsSync(settings))
    assert.match(dpkg('--purge', 'rollcall'), /stay\. To lose every device/)
    assert.ok(!existsSync(settings))
    assert.ok(existsSync(join(root, data, 'registry.db')))
    assert.ok(existsSync(join(root, data, 'keys/issuing.key')))

    dpkg('--install', deb)
    await using service = await up()
    publish(service.ready.mqtts)
  })

  function publish(mqtts: string): void {
    const { hostname, port } = new URL(mqtts)
    const file = (name: string) => join(root, data, 'sensor-1', name)
    execFileSync(
      'mosquitto_pub',
      [
        ...['-h', hostname, '-p', port, '-i', 'sensor-1', '-q', '1', '-t', 'devices/sensor-1/t', '-m', '1'],
        ...['--cafile', file('ca.crt'), '--cert', file('device.crt'), '--key', file('device.key')],
      ],
      { stdio: 'ignore', timeout: 60_000 },
    )
  }

  /** The data as a version left them that had this schema. */
  function leaveOlderRegistry(schema: number): void {
    const registry = join(root, data, 'registry.db')
    const { uid, gid } = statSync(registry)
    renameSync(registry, at('today.db'))
    makeOlderRegistry(at('today.db'), registry, schema)
    assert.equal(schemaOf(registry), schema)
    chownSync(registry, uid, gid)
    chmodSync(registry, 0o600)
  }

  /** The same files as a later version. */
  function newer(): string {
    execFileSync('dpkg-deb', ['-R', deb, at('newer')])
    const control = at('newer/DEBIAN/control')
    writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, 'Version: 999.0.0'))
    writeFileSync(at('newer/etc/rollcall/rollcall.env'), '# another default\n')
    const file = at('newer.deb')
    execFileSync('dpkg-deb', ['-Znone', '--root-owner-group', '-b', at('newer'), file], { stdio: 'ignore' })
    rmSync(at('newer'), { recursive: true })
    return file
  }
})

/** From the header of a SQLite file that was closed: opening it would leave files of root beside it. */
function schemaOf(registry: string): number {
  return readFileSync(registry).readUInt32BE(60)
}

/** A root with a shell, the programs that the scripts call, their libraries, and the records of the packages they are of. */
function makeRoot(): void {
  const programs = ['sh', 'getent', 'useradd', 'mkdir', 'chmod', 'chown', 'rm', 'readlink', 'dirname']
  const paths = programs.map(name => execFileSync('which', [name], { encoding: 'utf8' }).trim())
  const node = realpathSync(process.execPath)
  const libraries = [...paths, node].flatMap(path =>
    [...execFileSync('ldd', [path], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)].map(found => found[1]!),
  )
  for (const name of ['bin', 'lib', 'lib64']) {
    mkdirSync(join(root, 'usr', name), { recursive: true })
    symlinkSync(`usr/${name}`, join(root, name))
  }
  for (const path of new Set([...paths, ...libraries])) {
    mkdirSync(join(root, dirname(path)), { recursive: true })
    copyFileSync(path, join(root, path))
  }
  for (const folder of ['etc', 'tmp', 'var/lib/dpkg/info', 'var/lib/dpkg/updates', 'dev'])
    mkdirSync(join(root, folder), { recursive: true })
  chmodSync(root, 0o755)
  chmodSync(join(root, 'tmp'), 0o1777)
  execFileSync('mknod', ['-m', '666', join(root, 'dev/null'), 'c', '1', '3'])
  for (const name of ['hosts', 'nsswitch.conf']) cpSync(join('/etc', name), join(root, 'etc', name))
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n')
  const depends = ['libc6', 'libstdc++6', 'libgcc-s1', 'libatomic1', 'passwd']
  for (const name of depends) writeFileSync(join(root, `var/lib/dpkg/info/${name}.list`), '')
  writeFileSync(
    join(root, 'var/lib/dpkg/status'),
    depends.map(name => execFileSync('dpkg-query', ['-s', name], { encoding: 'utf8' })).join('\n'),
  )
  writeFileSync(join(root, 'var/lib/dpkg/available'), '')
}
