// `rollcall audit` from end to end: a service that runs, a registry at rest, an exported file, a backup, and hands in them.
import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import { dropTriggers } from '../../harness/audit.ts'
import { launch, rollcall, startUp, temporaryDirectory, type Up } from '../running.ts'

describe('rollcall audit', () => {
  const folder = temporaryDirectory()
  const data = join(folder.path, 'data')
  const path = (name: string) => join(folder.path, name)
  const publicKey = join(data, 'audit.pub')
  let up: Up
  before(async () => {
    up = await startUp(data)
    for (const id of ['a', 'b']) assert.equal((await up.run('device', 'add', id)).code, 0)
  })
  after(async () => {
    await up.end()
    folder[Symbol.dispose]()
  })

  const rows = (text: string) =>
    text
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))

  it('shows the last rows, the newest at the end', async () => {
    const { code, stdout } = await up.run('audit', 'tail', '-n', '2', '-o', 'jsonl')
    assert.equal(code, 0)
    assert.deepEqual(
      rows(stdout).map(({ actor, action, target }) => [actor, action, target]),
      [
        ['admin.token', 'device.add', 'a'],
        ['admin.token', 'device.add', 'b'],
      ],
    )
    const table = await up.run('audit', 'tail')
    assert.match(table.stdout, /^SEQ +TIME +ACTOR +KIND +ACTION +TARGET +OUTCOME +DETAIL\n1 /)
  })

  it('finds rows by each filter, and says where none fits', async () => {
    const search = async (...args: string[]) => {
      const { code, stdout, stderr } = await up.run('audit', 'search', '-o', 'json', ...args)
      assert.equal(code, 0, stderr)
      return JSON.parse(stdout) as { target: string; action: string }[]
    }
    assert.deepEqual(
      (await search('--action', 'device.*', '--since', '1h')).map(({ target }) => target),
      ['b', 'a'],
    )
    assert.deepEqual((await search('--actor', 'admin.token', '--target', 'a')).length, 1)
    assert.deepEqual((await search('--limit', '3')).length, 3)
    assert.deepEqual(await search('--until', '2020-01-01'), [])
    const { stderr } = await up.run('audit', 'search', '--target', 'nobody')
    assert.equal(stderr, 'no row fits\n')
  })

  it('follows the log until it is interrupted', async () => {
    const { child, ended } = launch(['audit', 'tail', '-f', '-n', '0', '-o', 'jsonl', '--data', data])
    const lines: string[] = []
    createInterface({ input: child.stdout! }).on('line', line => lines.push(line))
    // Rows may come before it listens or after: both are new to it only once it has looked the first time.
    for (let at = 0; lines.length === 0 && child.exitCode === null; at += 1)
      await up.run('device', 'add', `f${at}`)
    assert.equal(JSON.parse(lines[0] ?? '{}').action, 'device.add')
    child.kill('SIGINT')
    await ended
  })

  it('verifies a running registry, and asks the service where no directory is named', async () => {
    const local = await up.run('audit', 'verify', '-o', 'json')
    assert.equal(local.code, 0, local.stderr)
    assert.equal(JSON.parse(local.stdout).outcome, 'intact')
    assert.match(local.stderr, /^intact: \d+ rows, \d+ checkpoints?/)
    const service = [
      '--api',
      up.ready.api,
      '--token-file',
      join(data, 'admin.token'),
      '--ca',
      join(data, 'ca.crt'),
    ]
    const remote = await rollcall(['audit', 'verify', '-o', 'json', ...service])
    assert.equal(remote.code, 0, remote.stderr)
    assert.equal(JSON.parse(remote.stdout).outcome, 'intact')
  })

  it('exports a file (0600) that is verified with the public key alone', async () => {
    const file = path('audit.ndjson')
    const exported = await rollcall(['audit', 'export', file, '--data', data, '-o', 'json'])
    assert.equal(exported.code, 0, exported.stderr)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const { rows: count } = JSON.parse(exported.stdout)
    const lines = rows(readFileSync(file, 'utf8'))
    assert.equal(lines[0].log.publicKey, readFileSync(publicKey, 'utf8'))
    assert.equal(lines.filter(line => 'row' in line).length, count)
    const good = await rollcall(['audit', 'verify', file, '--key', publicKey, '-o', 'json'])
    assert.deepEqual([good.code, JSON.parse(good.stdout).rows], [0, count])
    const again = await rollcall(['audit', 'export', file, '--data', data])
    assert.deepEqual([again.code, /exists already/.test(again.stderr)], [1, true])
  })

  const edits: [what: string, edit: (lines: string[]) => string[], fault: RegExp][] = [
    [
      'a row',
      lines => lines.map(line => line.replace('"target":"a"', '"target":"z"')),
      /row \d+ was changed/,
    ],
    ['a row without its line', lines => lines.toSpliced(3, 1), /row 3 is missing/],
    ['a row twice', lines => lines.toSpliced(3, 0, lines[3]!), /row 3 stands after row 3/],
    ['two lines swapped', lines => lines.with(3, lines[4]!).with(4, lines[3]!), /row 3 stands after row 4/],
    ['a line that is none', lines => lines.with(3, '{'), /row 3 was changed/],
    ['its end cut off', lines => lines.slice(0, -3), /cut off|missing/],
    ['its last line gone', lines => lines.filter(line => !line.startsWith('{"end"')), /cut off/],
    ['its checkpoints gone', lines => lines.filter(line => !line.startsWith('{"checkpoint"')), /checkpoint/],
  ]
  for (const [what, edit, fault] of edits) {
    it(`finds in an exported file: ${what}`, async () => {
      const lines = readFileSync(path('audit.ndjson'), 'utf8').trimEnd().split('\n')
      writeFileSync(path('bent.ndjson'), `${edit(lines).join('\n')}\n`)
      const bent = await rollcall(['audit', 'verify', path('bent.ndjson'), '--key', publicKey, '-o', 'json'])
      assert.equal(bent.code, 1, bent.stdout)
      assert.equal(JSON.parse(bent.stdout).outcome, 'tampered')
      const { error } = JSON.parse(bent.stderr)
      assert.match(error, /^the audit log was tampered with: /)
      assert.match(error, fault)
    })
  }

  it('verifies a backup, and names the row that a hand changed in it', async () => {
    const copy = path('backup.db')
    assert.equal((await rollcall(['backup', copy, '--data', data])).code, 0)
    assert.equal((await rollcall(['audit', 'verify', copy, '--key', publicKey])).code, 0)
    const sqlite = new Sqlite(copy)
    dropTriggers(sqlite)
    sqlite.exec("UPDATE audit SET actor = 'nobody' WHERE seq = 4")
    sqlite.close()
    const bent = await rollcall(['audit', 'verify', copy, '--key', publicKey])
    assert.equal(bent.code, 1)
    assert.match(bent.stderr, /row 4 was changed after it was written\nhint: /)
    assert.match(bent.stdout, /^outcome +tampered\n/)
  })

  it('says what is missing or cannot be read', async () => {
    copyFileSync(join(data, 'server.crt'), path('other.pem'))
    const cases: [args: string[], code: number, words: RegExp][] = [
      [['verify', path('audit.ndjson')], 2, /--key is missing/],
      [['verify', path('audit.ndjson'), '--data', data], 2, /not both/],
      [['verify', path('none'), '--key', publicKey], 1, /no such file/],
      [['verify', path('other.pem'), '--key', publicKey], 1, /no exported audit log/],
      [['verify', '--data', folder.path], 1, /public key cannot be read/],
      [['verify', '--data', data, '--key', join(data, 'admin.token')], 1, /no public key/],
      [['tail', '-f', '-o', 'json', '--data', data], 2, /has an end/],
      [['search', '--since', 'now', '--data', data], 2, /It must be a time/],
      [['export', path('x'), '--data', folder.path], 1, /no registry at/],
    ]
    for (const [args, code, words] of cases) {
      const ran = await rollcall(['audit', ...args])
      assert.equal(ran.code, code, `${args}: ${ran.stderr}`)
      assert.match(ran.stderr, words)
    }
  })
})
