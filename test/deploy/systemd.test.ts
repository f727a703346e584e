// The units: known to systemd, open to little, and `up` keeps what Type=notify promises.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { nouns } from '../../cli/program.ts'
import { repository, startUp, temporaryDirectory } from '../cli/running.ts'
import { start } from '../e2e/mosquitto.ts'

/** What systemd-analyze makes of what a service may still do: 10 is everything. */
const EXPOSURE_MAX = 1.5

const read = (name: string) => readFileSync(join(repository, 'deploy/systemd', name), 'utf8')
const unit = read('rollcall.service')
const command = /^ExecStart=(\S+) (\S+) (.*)$/m.exec(unit)!

describe('deploy/systemd', () => {
  let folder: ReturnType<typeof temporaryDirectory>
  before(() => {
    folder = temporaryDirectory()
  })
  after(() => folder[Symbol.dispose]())

  /** The unit as it is, but for where Node and Rollcall are on this machine. */
  function installed(...dropIns: string[]): string {
    const place = join(folder.path, dropIns.join('-') || 'plain')
    mkdirSync(join(place, 'rollcall.service.d'), { recursive: true })
    const here = unit
      .replace(command[1]!, process.execPath)
      .replace(command[2]!, join(repository, 'cli/main.ts'))
    writeFileSync(join(place, 'rollcall.service'), here)
    for (const name of dropIns) writeFileSync(join(place, 'rollcall.service.d', name), read(name))
    return join(place, 'rollcall.service')
  }

  for (const dropIns of [[], ['passphrase.conf'], ['port-443.conf'], ['passphrase.conf', 'port-443.conf']]) {
    it(`has a unit that systemd understands${dropIns.map(name => `, with ${name}`).join()}`, () => {
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', installed(...dropIns)], {
        encoding: 'utf8',
      })
      assert.equal(status, 0, stdout + stderr)
      assert.equal(stderr, '')
    })
  }

  it(`leaves the service exposed to no more than ${EXPOSURE_MAX} of 10`, context => {
    const threshold = ['--offline=true', `--threshold=${EXPOSURE_MAX * 10}`]
    const { status, stdout } = spawnSync(
      'systemd-analyze',
      ['security', '--no-pager', ...threshold, installed()],
      { encoding: 'utf8' },
    )
    const overall = /Overall exposure level.*$/m.exec(stdout)?.[0] ?? stdout
    context.diagnostic(overall)
    assert.equal(status, 0, overall)
    const [, level = ''] = /: (\d+\.\d+) /.exec(overall) ?? []
    assert.ok(Number(level) > 0 && Number(level) <= EXPOSURE_MAX, overall)
  })

  it('starts a command with flags that exist, as a user without rights', async () => {
    const [noun = '', ...words] = command[3]!.split(' ')
    const loaded = await nouns[noun]!.load()
    for (const flag of words.filter(word => word.startsWith('--')))
      assert.ok(
        loaded.options.some(({ long }) => long === flag),
        flag,
      )
    assert.doesNotMatch(unit, /^User=root$/m)
    assert.match(unit, /^StateDirectory=rollcall$/m)
    assert.match(
      read('passphrase.conf'),
      /^LoadCredential=ca-passphrase:.*\nEnvironment=ROLLCALL_CA_PASSPHRASE_FILE=%d\/ca-passphrase$/m,
    )
  })

  it('is told by up that it is ready, that it lives, and that it stops', async () => {
    const socket = join(folder.path, 'notify')
    const listener = start('/usr/bin/python3', ['-c', LISTENER, socket])
    await listener.printed('bound')
    {
      const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' }
      await using _up = await startUp(join(folder.path, 'data'), [], { env })
      await listener.printed(/READY=1/)
      await listener.printed(/WATCHDOG=1[\s\S]*WATCHDOG=1/)
      assert.ok(listener.output().indexOf('READY=1') < listener.output().indexOf('WATCHDOG=1'))
    }
    await listener.printed(/STOPPING=1/)
    await listener.stop()
  })
})

/** What systemd does at the other end. */
const LISTENER = `
import socket, sys
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
end.bind(sys.argv[1])
print('bound', flush=True)
while True: print(end.recv(4096).decode(), flush=True)
`
