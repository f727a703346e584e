// The command line as such: what is a usage error, what help costs, and where data and words go.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { nouns } from '../../cli/program.ts'
import { rollcallHere } from './in-process.ts'
import { repository, rollcall, temporaryDirectory } from './running.ts'

const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))

describe('the command line', () => {
  it('tells its version and its help on stdout, and exits 0', async () => {
    assert.deepEqual(await rollcall(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
    const help = await rollcall(['--help'])
    assert.equal(help.code, 0)
    for (const noun of Object.keys(nouns)) assert.match(help.stdout, new RegExp(`^  ${noun} `, 'm'))
    assert.equal((await rollcall(['help', 'device'])).code, 0)
  })

  it('has help for every noun', async () => {
    for (const noun of Object.keys(nouns)) {
      const { code, stdout } = await rollcall([noun, '--help'])
      assert.equal(code, 0, noun)
      assert.match(stdout, new RegExp(`^Usage: rollcall ${noun}`), noun)
    }
  })

  it('has the flags that scripts rely on', async () => {
    const promised: Record<string, string[]> = {
      up: [
        '--data',
        '--host',
        '--mqtts-port',
        '--api-port',
        '--status-port',
        '--admin-port',
        '--gates',
        '--san',
        '-o',
      ],
      'device add': ['--attr', '--group'],
      'device enroll': ['--out', '--key-type', '--days', '--csr'],
      'device list': ['--api', '--token-file', '--ca', '--data', '-o'],
      'certificate revoke': ['--reason'],
    }
    for (const [command, flags] of Object.entries(promised)) {
      const { stdout } = await rollcall([...command.split(' '), '--help'])
      for (const flag of flags)
        assert.match(stdout, new RegExp(`^  (-., )?${flag}[ ,]`, 'm'), `${command} ${flag}`)
    }
  })

  it('exits 2 on a usage error, with what to do and nothing on stdout', async () => {
    const mistakes = [
      [],
      ['device'],
      ['nope'],
      ['up'],
      ['up', '--data'],
      ['up', '--data', 'x', '--mqtts-port', '65536'],
      ['up', '--data', 'x', '--mqtts-port', '-1'],
      ['up', '--data', 'x', '-o', 'xml'],
      ['up', '--data', 'x', 'extra'],
      ['device', 'add'],
      ['device', 'add', 'x', '--attr', 'novalue', '--data', 'x'],
      ['device', 'add', 'x', '--attr', 'a=1', '--attr', 'a=2', '--data', 'x'],
      ['device', 'enroll', 'x', '--data', 'x'],
      ['device', 'enroll', 'x', '--out', 'y', '--key-type', 'dsa', '--data', 'x'],
      ['device', 'enroll', 'x', '--out', 'y', '--days', '0', '--data', 'x'],
      ['device', 'enroll', 'x', '--out', 'y', '--days', '826', '--data', 'x'],
      ['device', 'enroll', 'x', '--out', 'y', '--csr', 'z', '--key-type', 'p256', '--data', 'x'],
      ['device', 'list'],
      ['device', 'list', '--api', 'http://127.0.0.1:1', '--token-file', 'x', '--ca', 'y'],
      ['certificate', 'revoke', 'not-a-fingerprint', '--data', 'x'],
      ['certificate', 'revoke', 'ab'.repeat(32), '--reason', 'because', '--data', 'x'],
    ]
    for (const mistake of mistakes) {
      const { code, stdout, stderr } = await rollcall(mistake)
      assert.equal(code, 2, `${mistake.join(' ')}: ${stderr}`)
      assert.equal(stdout, '', mistake.join(' '))
      assert.notEqual(stderr, '', mistake.join(' '))
      assert.doesNotMatch(stderr, /\n +at /, 'no stack')
    }
  })

  it('refuses a flag that the sub-command does not take, or that another one makes void, by its name', async () => {
    const broker = ['--broker', 'mqtt://127.0.0.1:1']
    const refused: [args: string[], problem: RegExp][] = [
      [['sim', 'conformance', ...broker, '--workers', '2'], /unknown option '--workers'/],
      [['sim', 'conformance', ...broker, '--agents', 'x'], /unknown option '--agents'/],
      [['sim', 'conformance', ...broker, '-o', 'yaml'], /Allowed choices are table, json/],
      [['sim', '--devices', '5', 'run', 'smoke'], /--devices before 'run' does not reach it/],
      [
        ['sim', 'agent', '--init', '--listen', '127.0.0.1:0'],
        /'--init' cannot be used with option '--listen/,
      ],
      [['events', '--follow', '--limit', '3'], /'--follow' cannot be used with option '--limit/],
      [
        ['policy', 'simulate', 'x', '--fleet', '--publish', 'a'],
        /'--fleet' cannot be used with option '--publish/,
      ],
      [
        ['policy', 'simulate', 'x', '--device', 'd', '--limit', '3'],
        /'--device <id>' cannot be used with option '--limit/,
      ],
      [['ca', 'rotate', '--status', '--over', '7d'], /'--status' cannot be used with option '--over/],
    ]
    for (const [args, problem] of refused) {
      const { code, stderr } = await rollcallHere(...args)
      assert.equal(code, 2, args.join(' '))
      assert.match(stderr, problem)
    }
  })

  it('is called by the launcher of a clone from anywhere, whatever Node the machine has', () => {
    using elsewhere = temporaryDirectory()
    const env = { ...process.env, PATH: '/usr/bin:/bin' }
    const ran = execFileSync(join(repository, 'rollcall'), ['--version'], {
      cwd: elsewhere.path,
      env,
      encoding: 'utf8',
    })
    assert.equal(ran, `${version}\n`)
  })
})
