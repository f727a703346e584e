// The package as somebody else gets it: packed from this tree, installed elsewhere, and put to its main job.
import assert from 'node:assert/strict'
import { execFile, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { repository, rollcall, startUp, temporaryDirectory } from '../cli/running.ts'
import { copySourceTree, quickBuild } from './source-tree.ts'

const run = promisify(execFile)
const rooms = [
  'admin',
  'admission',
  'broker',
  'cli',
  'client',
  'db',
  'device-sim',
  'pki',
  'policy',
  'provisioning',
]
/** What builds packages. */
const notInside = /^(cli|device-sim)\/package\//
const manifest = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))

describe('the published package', () => {
  const world = temporaryDirectory()
  const source = join(world.path, 'source')
  const elsewhere = join(world.path, 'elsewhere')
  let packed: { filename: string; files: string[] }

  before(async () => {
    copySourceTree(source)
    const { stdout } = await npm(
      ['pack', '--json', '--foreground-scripts=false', '--pack-destination', world.path],
      source,
    )
    const [answer] = JSON.parse(stdout.slice(stdout.indexOf('[')))
    packed = { filename: answer.filename, files: answer.files.map((file: { path: string }) => file.path) }
  })
  after(() => world[Symbol.dispose]())

  it('holds compiled code, README and licence, and nothing of the workshop', () => {
    for (const expected of ['package.json', 'README.md', 'LICENSE', manifest.bin.rollcall]) {
      assert.ok(packed.files.includes(expected), `${expected} in ${packed.files.length} files`)
    }
    const allowed =
      /^(deploy\/|dist\/|docs\/|package\.json$|README\.md$|LICENSE$|CHANGELOG\.md$|SECURITY\.md$)/
    assert.deepEqual(
      packed.files.filter(file => !allowed.test(file)),
      [],
    )
    assert.deepEqual(
      packed.files.filter(file => file.endsWith('.ts') && !file.endsWith('.d.ts')),
      [],
    )
    assert.deepEqual(
      packed.files.filter(file => /\.(key|token|db|csr)$/.test(file)),
      [],
    )
  })

  it('holds every room whole, files that are no code included', () => {
    for (const room of rooms) {
      for (const name of readdirSync(join(repository, room), { recursive: true, encoding: 'utf8' })) {
        if (!/\.\w+$/.test(name) || /\.(md|d\.ts)$/.test(name) || notInside.test(`${room}/${name}`)) continue
        const file = `dist/${room}/${name.replace(/\.ts$/, '.js')}`
        assert.ok(packed.files.includes(file), file)
      }
    }
  })

  it('starts from few files, and names the packages that are in them with their licenses', () => {
    const read = (file: string) => readFileSync(join(source, 'dist', file), 'utf8')
    for (const entry of ['cli/main.js', 'broker/gate-workers/worker.js', 'provisioning/x509/csr-worker.js'])
      for (const [, imported = ''] of read(entry).matchAll(/(?:from|import) ?\(?["']([^"']+)["']/g))
        assert.match(imported, /^(node:|(\.\.\/)+chunks\/|better-sqlite3$)/, `${entry} loads ${imported}`)
    for (const name of ['fastify', 'kysely', 'typebox', '@peculiar/x509', 'tsyringe'])
      assert.match(read('licenses.txt'), new RegExp(`^${name} \\d[^:]*: \\S+$`, 'm'))
    assert.doesNotMatch(read('licenses.txt'), /^(better-sqlite3|@fastify\/swagger-ui) /m)
  })

  it('holds the built console', () => {
    const assets = packed.files.filter(file => file.startsWith('dist/console/dist/'))
    assert.ok(assets.includes('dist/console/dist/index.html'))
    assert.ok(assets.some(file => /assets\/index-.+\.js$/.test(file)))
  })

  it('installs elsewhere and does its main job: one device enrolled, connected, and revoked', {
    timeout: 300_000,
  }, async () => {
    mkdirSync(elsewhere)
    writeFileSync(join(elsewhere, 'package.json'), '{"private":true}')
    const quick = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--no-save']
    await npm(['install', ...quick, join(world.path, packed.filename)], elsewhere)
    const command = [process.execPath, join(elsewhere, 'node_modules', '.bin', 'rollcall')]
    const options = { command, cwd: elsewhere }

    const told = await rollcall(['--version'], options)
    assert.deepEqual(told, { code: 0, stdout: `${manifest.version}\n`, stderr: '' })

    // With the gate in a process of its own, which is another file of the package.
    await using up = await startUp(join(elsewhere, 'data'), ['--gates', '1'], options)
    assert.equal((await up.run('device', 'add', 'sensor-1')).code, 0)
    const enrolled = await up.run('device', 'enroll', 'sensor-1', '--out', 'sensor-1')
    assert.equal(enrolled.code, 0, enrolled.stderr)
    const publish = () => mosquittoPub(up.ready.mqtts, join(elsewhere, 'sensor-1'))
    publish()
    assert.equal((await up.run('certificate', 'revoke', 'sensor-1/device.crt')).code, 0)
    assert.throws(publish)

    const check = join(elsewhere, 'node_modules/rollcall/dist/db/integrity-process.js')
    const checking = fork(check, [join(elsewhere, 'data', 'registry.db')], { stdio: 'ignore' })
    assert.deepEqual(await once(checking, 'message'), [{ damage: null }, undefined])

    const report = join(elsewhere, 'report.html')
    const ran = await up.run('sim', 'run', 'smoke', '--data', join(elsewhere, 'data'), '--report', report)
    assert.equal(ran.code, 0, ran.stdout + ran.stderr)
    assert.match(readFileSync(report, 'utf8'), /uPlot/)
  })
})

/** npm under the Node that runs the tests; an older one would choose other packages. */
function npm(args: string[], cwd: string) {
  const path = `${join(repository, 'node_modules', '.bin')}:${process.env['PATH']}`
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle)/.test(name)),
  )
  return run('npm', args, {
    cwd,
    env: { ...env, ...quickBuild, PATH: path },
    maxBuffer: 16 * 1024 * 1024,
    timeout: 240_000,
  })
}

function mosquittoPub(mqtts: string, directory: string): void {
  const { hostname, port } = new URL(mqtts)
  const files = { cafile: 'ca.crt', cert: 'device.crt', key: 'device.key' }
  execFileSync(
    'mosquitto_pub',
    [
      ...['-h', hostname, '-p', port, '-i', 'sensor-1', '-q', '1', '-t', 'devices/sensor-1/t', '-m', '1'],
      ...Object.entries(files).flatMap(([flag, name]) => [`--${flag}`, join(directory, name)]),
    ],
    { stdio: 'ignore', timeout: 60_000 },
  )
}
