// deploy/release.sh in a clone: what it refuses, and what a release leaves.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { repository } from '../cli/running.ts'
import { quickBuild } from './source-tree.ts'

const folder = mkdtempSync(join(tmpdir(), 'rollcall-release-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const clone = join(folder, 'rollcall')
const git = (...args: string[]) => execFileSync('git', args, { cwd: clone, encoding: 'utf8' }).trim()

function release(...args: string[]) {
  const PATH = `${dirname(process.execPath)}:${process.env['PATH']}`
  return spawnSync('deploy/release.sh', args, {
    cwd: clone,
    encoding: 'utf8',
    env: { ...process.env, ...quickBuild, PATH, COMPRESSION: 'gzip' },
  })
}

test('a release is refused until all is ready, and then leaves a tag, a changelog and a tarball', () => {
  execFileSync('git', ['clone', '-q', '--no-local', repository, clone], { stdio: 'ignore' })
  git('checkout', '-q', '-B', 'main')
  git('config', 'user.name', 'release')
  git('config', 'user.email', 'release@example.com')
  symlinkSync(join(repository, 'node_modules'), join(clone, 'node_modules'))
  appendFileSync(join(clone, '.git/info/exclude'), 'node_modules\nrelease\n')

  const refused = (pattern: RegExp, ...args: string[]) => {
    const { status, stderr } = release(...args)
    assert.equal(status, 1)
    assert.match(stderr, pattern)
  }
  refused(/a version such as/)
  refused(/a version such as/, '1.2')
  appendFileSync(join(clone, 'README.md'), '\n')
  refused(/commit or stash/, '9.9.9')
  git('checkout', '-q', 'README.md')
  git('checkout', '-q', '-b', 'other')
  refused(/made on main/, '9.9.9')
  git('checkout', '-q', 'main')

  for (const version of ['0.2.0-rc.1', '0.2.0', '0.10.0', '9.9.9'])
    refused(/ROLLCALL_CERTIFICATE_GRACE ends with 0\.2\.0/, version)
  // As if that setting had ended already.
  writeFileSync(join(clone, 'deploy/setting-ends'), '0.2.0 NO_SUCH_SETTING provisioning/config.ts\n')
  git('commit', '-q', '-a', '-m', 'end a setting')

  const { status, stdout, stderr } = release('9.9.9')
  assert.equal(status, 0, stderr)
  assert.equal(git('tag', '--list'), 'v9.9.9')
  assert.equal(git('status', '--porcelain'), '')
  assert.match(
    readFileSync(join(clone, 'CHANGELOG.md'), 'utf8'),
    /## \[Unreleased\]\n\n## \[9\.9\.9\] - \d{4}-\d\d-\d\d\n/,
  )
  assert.match(stdout, /^[\da-f]{64} {2}rollcall-9\.9\.9\.tgz\n/m)
  assert.ok(existsSync(join(clone, 'release/rollcall-9.9.9.tgz')))
  assert.ok(existsSync(join(clone, 'release/rollcall-sim-9.9.9.tgz')))
  const { bomFormat, components } = JSON.parse(
    readFileSync(join(clone, 'release/rollcall-9.9.9.cdx.json'), 'utf8'),
  )
  assert.equal(bomFormat, 'CycloneDX')
  const names = components.map(({ name }: { name: string }) => name)
  assert.deepEqual([names.includes('fastify'), names.includes('typescript')], [true, false])
  refused(/exists already/, '9.9.9')
  refused(/nothing under Unreleased/, '9.9.10')
})

test('no setting is read any more in the version that it ended with', () => {
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
  const lines = readFileSync(join(repository, 'deploy/setting-ends'), 'utf8').split('\n')
  const ends = lines.filter(line => /^\d/.test(line)).map(line => line.split(' ') as [string, string, string])
  assert.ok(ends.some(([, setting]) => setting === 'ROLLCALL_CERTIFICATE_GRACE') || isPast('0.2.0', version))
  for (const [end, setting, file] of ends) {
    if (!isPast(end, version)) continue
    const text = readFileSync(join(repository, file), 'utf8')
    assert.ok(
      !text.includes(setting),
      `${setting} ends with ${end}: take it out of ${file} (docs/release.md)`,
    )
  }
})

/** Whether this version is that one or a later one. */
function isPast(end: string, version: string): boolean {
  const numbers = (text: string) => text.split(/[.-]/).slice(0, 3).map(Number)
  const difference = numbers(version).map((part, index) => part - numbers(end)[index]!)
  return (difference.find(part => part !== 0) ?? 0) >= 0
}
