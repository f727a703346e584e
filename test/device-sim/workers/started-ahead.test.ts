// The worker that is started while the program still loads: a run takes it, and where nothing takes it, it ends with the program.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { marked } from '../../harness/marked-processes.ts'
import { until } from '../../harness/until.ts'

const program = join(import.meta.dirname, '../../../device-sim/package/main.ts')

function run(...args: string[]) {
  const mark = `ROLLCALL_TEST_MARK=${randomBytes(8).toString('hex')}`
  const [name = '', value] = mark.split('=')
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, [name]: value, NODE_DISABLE_COMPILE_CACHE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)])
  return { mark, ended: ended.then(([[code], stdout, stderr]) => ({ code, stdout, stderr })) }
}

describe('a worker that is started ahead', () => {
  it('is the one worker of a run, and ends with it', async () => {
    const processes: number[] = []
    const admit = Buffer.from([0x20, 2, 0, 0])
    const broker = createServer(socket => {
      processes.push(marked(mark).length)
      socket.on('error', () => {}).once('data', () => socket.write(admit))
    }).listen(0, '127.0.0.1')
    await once(broker, 'listening')
    const url = `mqtt://127.0.0.1:${(broker.address() as AddressInfo).port}`
    const { mark, ended } = run('--broker', url, '--devices', '1', '--qos', '0', '--duration', '100ms')
    const { stderr } = await ended
    broker.close()
    // The program and its worker.
    assert.deepEqual(processes, [2], stderr)
    await until(() => marked(mark).length === 0)
  })

  it('ends with a program that had no use for it', async () => {
    const { mark, ended } = run('--broker', 'mqtt://127.0.0.1:1', '--devices', 'none')
    const { code, stderr } = await ended
    assert.equal(code, 2, stderr)
    assert.equal(stderr, 'error: --devices: expected a whole number\n')
    await until(() => marked(mark).length === 0)
  })
})
