// The package rollcall-sim without Rollcall: built, packed, installed alone, and run against a broker.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Aedes } from 'aedes'
import { simCommand } from '../../device-sim/commands/command.ts'
import { buildPackage } from '../../device-sim/package/build.ts'
import { repository, temporaryDirectory } from '../cli/running.ts'

const run = promisify(execFile)
const INSTALLED_BYTES_MAX = 15 * 1024 * 1024

describe('the package rollcall-sim', () => {
  const world = temporaryDirectory()
  const path = `${join(repository, 'node_modules', '.bin')}:${process.env['PATH']}`
  const built = join(world.path, 'built')
  const elsewhere = join(world.path, 'elsewhere')
  const installed = join(elsewhere, 'node_modules', 'rollcall-sim')
  let packages: string[] = []
  const sim = (...args: string[]) =>
    run(process.execPath, [join(elsewhere, 'node_modules', '.bin', 'rollcall-sim'), ...args], {
      cwd: elsewhere,
      env: { ...process.env, PATH: path },
    }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }) => ({ code: Number(code), stdout: String(stdout), stderr: String(stderr) }),
    )

  before(async () => {
    packages = await buildPackage(built)
    mkdirSync(elsewhere)
    writeFileSync(join(elsewhere, 'package.json'), '{"private":true}')
    const options = { cwd: elsewhere, env: { ...process.env, PATH: path } }
    const { stdout } = await run('npm', ['pack', '--pack-destination', world.path, built], options)
    const tarball = join(world.path, stdout.trim().split('\n').at(-1) ?? '')
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], options)
  })
  after(() => world[Symbol.dispose]())

  it('is built into no folder of other things, nor into one with the name of a flag', async () => {
    const build = join(repository, 'device-sim/package/build.ts')
    const refused = async (args: string[], code: number, problem: RegExp) => {
      const ended = await run(process.execPath, [build, ...args], { cwd: elsewhere }).then(
        ({ stderr }) => ({ code: 0, stderr }),
        ({ code, stderr }) => ({ code: Number(code), stderr: String(stderr) }),
      )
      assert.equal(ended.code, code)
      assert.match(ended.stderr, problem)
    }
    await refused(['--help'], 0, /^usage: npm run build:sim/)
    await refused(['--out', 'x'], 2, /^usage: npm run build:sim/)
    await refused(['.'], 2, /holds something else/)
    assert.equal(existsSync(join(elsewhere, '--help')), false)
    assert.equal(existsSync(join(elsewhere, 'package.json')), true)
  })

  it('brings all that it needs in 15 MB, and nothing of the service', () => {
    const files = globSync('node_modules/**/*', { cwd: elsewhere }).map(file => join(elsewhere, file))
    const bytes = files
      .map(file => statSync(file))
      .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0)
    assert.ok(bytes < INSTALLED_BYTES_MAX, `${bytes} bytes`)
    const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
    assert.equal(manifest.dependencies, undefined)
    assert.ok(packages.length > 10)
    const service = /fastify|sqlite|kysely|aedes|pino/
    assert.deepEqual(
      packages.filter(name => service.test(name)),
      [],
    )
    const licenses = readFileSync(join(installed, 'dist', 'licenses.txt'), 'utf8')
    for (const name of packages) assert.match(licenses, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+: \\w`, 'm'))
  })

  for (const runtime of ['node', 'bun'])
    it(`runs a fleet on ${runtime} against a broker, writes a report, and tells its version`, async () => {
      const broker = new Aedes()
      await broker.listen()
      const server = createServer(socket => broker.handle(socket)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      try {
        const { port } = server.address() as AddressInfo
        // It ends when all is sent, however long this machine takes.
        const fleet = ['-c', '10', '-R', '200', '-I', '50', '-L', '20', '-q', '1', '-t', 'x/%i', '-V', '4']
        const where = ['-h', '127.0.0.1', '-p', String(port)]
        const ran = await sim(
          'pub',
          ...where,
          ...fleet,
          '--report',
          'r.html',
          '-o',
          'json',
          '--runtime',
          runtime,
        )
        assert.equal(ran.code, 0, ran.stdout + ran.stderr)
        const { connects, traffic, run } = JSON.parse(ran.stdout)
        assert.equal(run.tool.runtime.split(' ')[0], runtime)
        assert.deepEqual([connects.admitted, traffic.qos1.sent], [10, 20])
        assert.match(readFileSync(join(elsewhere, 'r.html'), 'utf8'), /uPlot/)
      } finally {
        server.close()
        await new Promise<void>(resolve => broker.close(resolve))
      }
      const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
      assert.deepEqual(await sim('--version'), { code: 0, stdout: `${version}\n`, stderr: '' })
    })

  it('says what is wrong with a command line, by exit code 2', async () => {
    const { code, stderr } = await sim('--devices', 'many')
    assert.equal(code, 2)
    assert.match(stderr, /--devices/)
    assert.equal((await sim('--no-such-flag')).code, 2)
  })

  it('has a README whose commands exist', () => {
    const readme = readFileSync(join(installed, 'README.md'), 'utf8')
    const lines = [...readme.matchAll(/^(?:npx )?rollcall-sim +([^#\n>]+)/gm)].map(
      match => match[1]?.trim() ?? '',
    )
    assert.ok(lines.length >= 8)
    for (const line of lines) {
      const words = line.split(/ +/)
      const root = simCommand('rollcall-sim', '0')
      const command = root.commands.find(child => child.name() === words[0]) ?? root
      for (const word of words.filter(candidate => candidate.startsWith('-'))) {
        const known = command.options.some(({ long, short }) => long === word || short === word)
        assert.ok(known, `${word} of ${line}`)
      }
    }
  })
})
