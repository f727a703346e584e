// kill -9 of provisioning services of two machines, in the middle of an import and in the middle of a list of revoked certificates: another
// process has the lease, every row is one device, every list is whole, and no two lists have one number. At length alone.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, watch, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { X509Certificate, X509Crl } from '@peculiar/x509'
import Sqlite from 'better-sqlite3'
import { makeRequests } from '../../bench/requests.ts'
import type { Job } from '../../client/index.ts'
import { until } from '../cli/running.ts'
import { enroll } from '../e2e/devices.ts'
import { startMachines } from '../e2e/machines.ts'
import { type System, scratch } from '../e2e/system.ts'
import { type PostgresServer, startPostgres } from '../harness/postgres.ts'
import { length } from './length.ts'
import { killAndReturn } from './restarted.ts'

const [ROWS, KILLS] = [1_000, 6]
const DEADLINE_MS = 120_000

describe('kill -9 of services of two machines', {
  skip: length(1, 0) === 1 && 'at length only: npm run faults',
}, () => {
  const world = scratch()
  let postgres: PostgresServer
  let machines: [one: System, other: System]
  before(async () => {
    postgres = await startPostgres({ durable: true })
    machines = await startMachines(world, postgres, {})
  })
  after(async () => {
    await Promise.allSettled((machines ?? []).map(system => system.killAll()))
    await postgres?.close()
    world[Symbol.dispose]()
  })

  /** The machine whose process has taken the lease last, and when. */
  function lastTaken(): { system: System; at: number } | null {
    const taken = machines.flatMap(system =>
      system
        .lines()
        .filter(({ msg }) => msg.startsWith('lease taken'))
        .map(({ time }) => ({ system, at: new Date(time as string | number).getTime() })),
    )
    return taken.toSorted((a, b) => a.at - b.at).at(-1) ?? null
  }
  /** The machine that has the lease, once a process has taken it after this time. */
  async function leader(since = 0): Promise<System> {
    await until(async () => (lastTaken()?.at ?? 0) > since, 'a process takes the lease', DEADLINE_MS)
    return lastTaken()!.system
  }

  /** Through any machine that answers. */
  async function call(method: 'GET' | 'POST', path: string, body?: unknown) {
    for (const end = performance.now() + DEADLINE_MS; ; )
      for (const { api } of machines) {
        const answer = await api.call(method, path, body).catch(() => null)
        if (answer !== null && answer.status < 500) return answer
        assert.ok(performance.now() < end, `nobody answers ${path}`)
      }
  }

  const audit = async () => {
    for (const { api } of machines)
      await until(
        async () =>
          (await api.call('GET', '/v1/audit/verification').catch(() => null))?.body.outcome === 'intact',
        'the audit log is whole',
        DEADLINE_MS,
      )
  }

  it('ends an import with each row one device, whichever service is killed', async t => {
    const file = world.at('fleet.ndjson')
    const requests = await makeRequests('kill', ROWS)
    writeFileSync(file, requests.map(row => `${JSON.stringify(row)}\n`).join(''))
    const leading = await leader()
    const importing = machines.find(system => system !== leading)!
    const started = await importing.run('device', 'import', file, '--detach')
    assert.equal(started.code, 0, started.stderr)
    const job = async () => (await importing.api.list<Job>('/v1/jobs').catch(() => []))[0]
    const rows = async () => (await job())?.rowsDone ?? 0
    let [kills, changes] = [0, 0]
    for (; kills < KILLS && (await rows()) < ROWS; kills += 1) {
      const before = await rows()
      await until(async () => (await rows()) > before, 'it gets on', DEADLINE_MS)
      const last = await leader()
      const victim = kills % 2 === 0 ? last : importing
      const killedAt = Date.now()
      await killAndReturn(victim, ['provisioning'])
      if (victim === last && (await leader(killedAt)) !== last) changes += 1
    }
    assert.ok(kills > 2, 'it was killed in the middle')
    await until(async () => (await job())?.state === 'done', 'the job is done', DEADLINE_MS)
    const again = await machines[0].run('device', 'import', file)
    assert.equal(again.code, 0, again.stderr)
    assert.match(again.stderr, /^1,000 unchanged$/m)
    await audit()
    for (const { data } of machines) {
      const registry = new Sqlite(`${data}/registry.db`, { readonly: true })
      const count = (sql: string) => registry.prepare(sql).pluck().get()
      assert.equal(count('SELECT count(*) FROM devices'), ROWS)
      assert.equal(count('SELECT count(*) FROM certificates'), ROWS)
      assert.equal(count('SELECT count(DISTINCT device_id) FROM certificates'), ROWS)
      assert.equal(
        count(
          'SELECT count(*) FROM certificates WHERE serial_number NOT IN (SELECT serial_number FROM issuances)',
        ),
        0,
      )
      registry.close()
    }
    t.diagnostic(`${kills} kills, the lease went to another machine ${changes} times`)
  })

  it('makes whole lists of all that is revoked, each with a number of its own', async t => {
    const issuer = new X509Certificate(readFileSync(`${machines[0].data}/issuing.crt`, 'utf8'))
    const listIn = ({ data }: System): Buffer | null => {
      const [name] = readdirSync(`${data}/crl`).filter(file => file.endsWith('.crl'))
      return name === undefined ? null : readFileSync(`${data}/crl/${name}`)
    }
    /** The bytes of each list that was seen, by its number. */
    const seen = new Map<string, Buffer>()
    /** Reads the list of a machine, which is whole. Gives the serial numbers on it. */
    async function serials(system: System): Promise<string[]> {
      const der = listIn(system)
      if (der === null) return []
      const list = new X509Crl(der)
      assert.ok(await list.verify({ publicKey: issuer }), 'it is signed by the CA')
      const number = Buffer.from(list.getExtension('2.5.29.20')!.value).toString('hex')
      assert.ok((seen.get(number) ?? der).equals(der), `two lists have the number ${number}`)
      seen.set(number, der)
      return list.entries.map(({ serialNumber }) => serialNumber)
    }

    const revoked: string[] = []
    const takes: number[] = []
    let changes = 0
    for (let kills = 0; kills < KILLS; kills += 1) {
      const leading = await leader()
      // Half of them before the list is in its place, half after that and before it is on record.
      const at = kills % 2 === 0 ? '.new' : '.crl'
      const killed = Promise.withResolvers<number>()
      const watcher = watch(`${leading.data}/crl`, (_, name) => {
        if (name?.endsWith(at) !== true) return
        watcher.close()
        process.kill(leading.childPid('provisioning'), 'SIGKILL')
        killed.resolve(Date.now())
      })
      const { certificate, fingerprint } = await enroll(machines[0].api, world.path, `revoked-${kills}`)
      revoked.push(
        new X509Certificate(certificate.slice(0, certificate.indexOf('-----END') + 25)).serialNumber,
      )
      const answer = await call('POST', `/v1/certificates/${fingerprint}/revoke`, { reason: 'superseded' })
      assert.equal(answer.status, 200, JSON.stringify(answer.body))
      const killedAt = await killed.promise
      const began = performance.now()
      for (const system of machines)
        await until(
          async () => {
            const listed = await serials(system)
            return revoked.every(serial => listed.includes(serial))
          },
          'both machines have all that is revoked',
          DEADLINE_MS,
        )
      takes.push(performance.now() - began)
      if ((await leader(killedAt)) !== leading) changes += 1
      for (const system of machines)
        await until(
          async () => (await system.admin('/readyz').catch(() => null))?.status === 200,
          'all are back',
          DEADLINE_MS,
        )
    }
    await audit()
    const numbers = [...seen.keys()].map(hex => BigInt(`0x${hex}`))
    assert.equal(new Set(numbers).size, numbers.length)
    t.diagnostic(
      `${KILLS} kills while a list was made, ${seen.size} lists seen; complete at both machines at most ${(Math.max(...takes) / 1000).toFixed(1)} s after the kill; ` +
        `the lease went to another machine ${changes} times`,
    )
  })
})
