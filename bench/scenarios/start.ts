// From starting `rollcall up` on a warm data directory to the first admitted device.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { openClient } from '../mqtt-client.ts'

const entry = new URL('../../cli/main.ts', import.meta.url).pathname

/** Seconds to the first CONNACK 0, one number per start; the first start made the data directory, `prepare` may fill it. */
export async function measureStarts(
  starts: number,
  prepare: (data: string) => Promise<void> = async () => {},
): Promise<number[]> {
  const startable = await prepareStarts(entry, prepare)
  try {
    const took: number[] = []
    for (let start = 0; start < starts; start += 1) took.push(await startable.start())
    return took.sort((a, b) => a - b)
  } finally {
    startable.close()
  }
}

export type Startable = {
  /** Seconds from starting `rollcall up` to the first CONNACK 0. It is stopped again. */
  start(): Promise<number>
  close(): void
}

/** A data directory with a device, which the `rollcall` of that file made by a first start. */
export async function prepareStarts(
  entry: string,
  prepare: (data: string) => Promise<void> = async () => {},
): Promise<Startable> {
  const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-'))
  const data = join(scratch, 'data')
  const out = join(scratch, 'device')
  const close = () => rmSync(scratch, { recursive: true, force: true })
  try {
    const first = await up(entry, data)
    await run(entry, ['device', 'add', 'bench-1', '--data', data])
    await run(entry, ['device', 'enroll', 'bench-1', '--out', out, '--data', data])
    await first.stop()
    await prepare(data)
  } catch (error) {
    close()
    throw error
  }
  const device = {
    id: 'bench-1',
    certificate: readFileSync(join(out, 'device.crt'), 'utf8'),
    key: readFileSync(join(out, 'device.key'), 'utf8'),
    der: Buffer.alloc(0),
    fingerprint: '',
  }
  return {
    close,
    async start() {
      const begin = performance.now()
      const running = await up(entry, data)
      const link = await openClient(running.port, readFileSync(join(data, 'ca.crt'), 'utf8'), device)
      const seconds = (performance.now() - begin) / 1_000
      link.on('error', () => {})
      link.destroy()
      await running.stop()
      return seconds
    },
  }
}

async function up(entry: string, data: string): Promise<{ port: number; stop(): Promise<void> }> {
  const ports = ['--mqtts-port', '0', '--api-port', '0', '--status-port', '0', '--admin-port', '0']
  const child = spawn(process.execPath, [entry, 'up', '--data', data, ...ports, '-o', 'json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', code => reject(new Error(`rollcall up ended with exit code ${code}`)))
  })
  return {
    port: Number(new URL(JSON.parse(line).mqtts).port),
    stop: () =>
      new Promise(resolve => {
        child.removeAllListeners('exit').once('exit', () => resolve())
        child.kill('SIGTERM')
      }),
  }
}

function run(entry: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
    child.once('exit', code =>
      code === 0 ? resolve() : reject(new Error(`rollcall ${args[0]} exited with ${code}`)),
    )
  })
}
