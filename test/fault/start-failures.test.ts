// A start that cannot work says so in one line with what to do, ends with 1, leaves nothing running and nothing worse.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import { anyPorts, attemptUp, failureIn, processesNaming, scratch, startSystem } from '../e2e/system.ts'

type Harm = {
  harm(at: (name: string) => string): void
  says: RegExp
  /** A start that made anew what is missing would let the next one through. */
  again?: true
}

/** What is done to the data directory of a system that ran before, and what the operator must read. */
const harms: Record<string, Harm> = {
  'a damaged registry': {
    harm: at => writeFileSync(at('registry.db'), Buffer.alloc(64 * 1024, 'no registry')),
    says: /registry\.db.*restore a backup|restore a backup.*registry\.db/,
    again: true,
  },
  'a registry cut to nothing': {
    harm: at => truncateSync(at('registry.db'), 0),
    says: /registry\.db.*restore/,
    again: true,
  },
  'a missing registry beside its CA': {
    harm: at => rmSync(at('registry.db')),
    says: /registry\.db is missing.*restore/,
    again: true,
  },
  'a registry of a newer version': {
    harm: at => edit(at('registry.db'), 'PRAGMA user_version = 999'),
    says: /schema 999.*start the version that wrote it/,
  },
  "somebody else's database as the registry": {
    harm(at) {
      rmSync(at('registry.db'))
      edit(at('registry.db'), 'CREATE TABLE songs (title TEXT)')
    },
    says: /not a Rollcall registry/,
  },
  'a lost issuing key': {
    harm: at => rmSync(at('keys/issuing.key')),
    says: /issuing\.key is missing.*restore/,
    again: true,
  },
  'an issuing key that is another': {
    harm: at => writeFileSync(at('keys/issuing.key'), openssl('genpkey', '-algorithm', 'ED25519')),
    says: /issuing\.key is not the key of .*issuing\.crt/,
  },
  'a CA certificate that is none': { harm: at => writeFileSync(at('ca.crt'), 'nothing\n'), says: /ca\.crt/ },
  'a setting that does not exist': {
    harm: at => writeFileSync(at('rollcall.yaml'), 'broker:\n  handshakesMax: 0\n  sparkle: 1\n'),
    says: /settings do not hold/,
  },
}

describe('rollcall up cannot start', () => {
  const world = scratch()
  const healthy = world.at('healthy')
  before(async () => {
    const system = await startSystem(healthy)
    assert.equal((await system.api.call('POST', '/v1/devices', { id: 'kept' })).status, 201)
    assert.equal(await system.end(), 0)
  })
  after(() => world[Symbol.dispose]())

  for (const [what, { harm, says, again = false }] of Object.entries(harms)) {
    it(`with ${what}, says so in one line, and makes nothing worse`, async () => {
      const data = world.at(what.replaceAll(/\W+/g, '-'))
      cpSync(healthy, data, { recursive: true })
      harm(name => `${data}/${name}`)
      await assertRefused(data, says)
      if (again) await assertRefused(data, says)
    })
  }

  it('where a port is taken, and names the flag that chooses another', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise(resolve => taken.once('listening', resolve))
    const { port } = taken.address() as AddressInfo
    try {
      for (const flag of ['--mqtts-port', '--api-port', '--status-port', '--admin-port']) {
        const flags = anyPorts.with(anyPorts.indexOf(flag) + 1, String(port))
        await assertRefused(healthy, new RegExp(`${port}.*in use.*${flag}`), flags)
      }
    } finally {
      taken.close()
    }
  })

  it('twice on one directory, and the first one goes on', async () => {
    await using system = await startSystem(healthy)
    const second = attemptUp(healthy)
    assert.equal(await second.ended, 1)
    const { error, hint } = failureIn(second.log())
    assert.match(error, /^another rollcall up runs on /)
    assert.ok(hint)
    assert.deepEqual(await system.admin('/readyz'), { status: 200, text: 'ready\n' })
    assert.equal((await system.api.call('GET', '/v1/devices/kept')).status, 200)
    assert.equal((await system.run('device', 'show', 'kept')).code, 0)
  })

  it('on a file system that is read-only, or where a file is in the way', async t => {
    writeFileSync(world.at('file'), '')
    await assertRefused(world.at('file'), /the data directory cannot be used/)
    const mounted = world.at('read-only')
    execFileSync('mkdir', [mounted])
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=1m', 'tmpfs', mounted], { stdio: 'pipe' })
    } catch {
      return t.skip('the rest needs the right to mount a tmpfs')
    }
    try {
      await assertRefused(mounted, /cannot be (used|written)/)
    } finally {
      execFileSync('umount', ['-l', mounted])
    }
  })
})

/** Exit 1, one error that names the cause, a word on what to do, and not one process left. */
async function assertRefused(data: string, says: RegExp, flags?: readonly string[]): Promise<void> {
  const attempt = attemptUp(data, flags ? { flags } : {})
  const code = await attempt.ended
  const log = attempt.log()
  assert.equal(code, 1, log)
  const { error, hint } = failureIn(log)
  assert.match(`${error} ${hint}`, says)
  assert.doesNotMatch(log, /^\s+at .*\.[tj]s:\d+/m, 'no stack')
  assert.deepEqual(processesNaming(data), [])
}

function edit(file: string, sql: string): void {
  const database = new Sqlite(file)
  database.exec(sql)
  database.close()
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
