// kill -9 in the middle of an import, of the service and of the command line: every row ends as one device with one
// certificate, with one result each, and a waiting caller is told.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import { makeRequests } from '../../bench/requests.ts'
import type { Job } from '../../client/index.ts'
import { launch, until } from '../cli/running.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'
import { length } from './length.ts'
import { killAndReturn } from './restarted.ts'

const ROWS = length(600, 1_200)
const KILLS = length(2, 10)

describe('kill -9 during an import', () => {
  const world = scratch()
  let system: System
  before(async () => {
    const requests = await makeRequests('kill', ROWS)
    writeFileSync(world.at('fleet.ndjson'), requests.map(row => `${JSON.stringify(row)}\n`).join(''))
    system = await startSystem(world.at('data'))
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  const job = async () => (await system.api.list<Job>('/v1/jobs'))[0]
  const done = async () => (await job())?.rowsDone ?? 0

  it(`goes on after ${KILLS} kills of the service, while its command line waits`, async t => {
    const results = world.at('results.ndjson')
    const args = ['device', 'import', world.at('fleet.ndjson'), '--results', results, '--data', system.data]
    const first = launch(args)
    await until(async () => (await done()) > 0, 'the import runs')
    // A caller killed beside it loses only the view.
    first.child.kill('SIGKILL')
    await first.ended
    const { id } = (await job())!
    const watcher = launch(['job', 'watch', id, '--results', results, '--data', system.data])
    let kills = 0
    for (; kills < KILLS; kills += 1) {
      const before = await done()
      if (before >= ROWS) break
      await until(async () => (await done()) > before, 'it gets on')
      await killAndReturn(system, ['provisioning'])
    }
    const { code, stderr } = await watcher.ended
    assert.equal(code, 0, stderr)
    t.diagnostic(`${kills} kills, ${stderr.trim().split('\n').at(-1)}`)
    assert.ok(kills > 0)

    const told = readFileSync(results, 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    assert.deepEqual(
      told.map(result => result.row),
      Array.from({ length: ROWS }, (_, index) => index + 1),
    )
    for (const { outcome, certificate } of told) {
      assert.ok(outcome === 'enrolled' || outcome === 'unchanged', outcome)
      assert.match(certificate, /BEGIN CERTIFICATE/)
    }
    const again = await system.run('device', 'import', world.at('fleet.ndjson'))
    assert.equal(again.code, 0, again.stderr)
    assert.match(again.stderr, new RegExp(`^${ROWS} unchanged$`, 'm'))
    assert.equal(await system.end(), 0)

    const registry = new Sqlite(world.at('data', 'registry.db'), { readonly: true })
    try {
      const count = (sql: string) => registry.prepare(sql).pluck().get()
      assert.equal(registry.pragma('integrity_check', { simple: true }), 'ok')
      assert.equal(count('SELECT count(*) FROM devices'), ROWS)
      assert.equal(count('SELECT count(*) FROM certificates'), ROWS)
      assert.equal(count('SELECT count(DISTINCT device_id) FROM certificates'), ROWS)
      // What was signed and not listed when a kill came was on record, and never left the process.
      const unintended =
        'SELECT count(*) FROM certificates WHERE serial_number NOT IN (SELECT serial_number FROM issuances)'
      assert.equal(count(unintended), 0)
      const fingerprints = new Set(registry.prepare('SELECT fingerprint FROM certificates').pluck().all())
      for (const { fingerprint } of told) assert.ok(fingerprints.has(fingerprint), fingerprint)
    } finally {
      registry.close()
    }
  })
})
