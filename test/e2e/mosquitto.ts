// The clients that Debian ships, as processes: what they printed, how they ended, and a way to wait for their words.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { until } from '../cli/running.ts'

export type Ended = { code: number | null; output: string }
export type Running = {
  pid: number
  /** Both streams, as they came. */
  output(): string
  /** Resolves once it has printed this. Rejects where it ends before. */
  printed(text: string | RegExp): Promise<void>
  ended: Promise<Ended>
  stop(signal?: NodeJS.Signals): Promise<Ended>
}

/** For clients that listen through a whole test, too. */
const DEADLINE_MS = 180_000
const running = new Set<{ kill(signal: 'SIGKILL'): unknown }>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts a program; one that does not end by itself is killed after the deadline. */
export function start(
  program: string,
  args: readonly string[],
  input?: string | Buffer,
  deadlineMs = DEADLINE_MS,
): Running {
  // Debian keeps mosquitto itself where only root looks for programs.
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` }
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  running.add(child)
  // One that ends without reading takes no input.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  let output = ''
  const looking = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      for (const look of looking) look()
    })
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    const overdue = setTimeout(() => child.kill('SIGKILL'), deadlineMs)
    child.once('error', reject)
    child.once('close', code => {
      clearTimeout(overdue)
      running.delete(child)
      resolve({ code, output })
    })
  })
  return {
    pid: child.pid ?? 0,
    output: () => output,
    printed: text =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (typeof text === 'string' ? !output.includes(text) : !text.test(output)) return
          looking.delete(look)
          resolve()
        }
        looking.add(look)
        look()
        ended.then(
          ({ code }) => reject(new Error(`${program} ended with ${code} before ${text}: ${output}`)),
          reject,
        )
      }),
    ended,
    async stop(signal = 'SIGTERM') {
      // mosquitto's clients take locks in their signal handler: one that is at work would wait for itself for ever.
      if (signal !== 'SIGKILL') await until(() => !works(child.pid ?? 0), `${program} rests`)
      child.kill(signal)
      return ended
    },
  }
}

/** Whether it is on a processor or waits for one. One that sleeps, or is no more, does not. */
function works(pid: number): boolean {
  try {
    return /^\d+ \(.*\) R /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], input?: string | Buffer): Promise<Ended> {
  return start(program, args, input).ended
}

type Files = { certificate: string; key: string; ca: string }

/** The flags that a device needs; the client ID is the device ID. */
export function asDevice(port: number, { id, files }: { id: string; files: Files }): string[] {
  const credentials = ['--cafile', files.ca, '--cert', files.certificate, '--key', files.key]
  return ['-h', '127.0.0.1', '-p', String(port), '-i', id, ...credentials]
}

/** mosquitto_sub, already subscribed. It prints `topic|QoS|retained|payload` for each message. */
export async function subscriber(flags: readonly string[], ...more: string[]): Promise<Running> {
  const client = start('stdbuf', ['-oL', 'mosquitto_sub', ...flags, '-d', '-F', '%t|%q|%r|%p', ...more])
  await client.printed('Subscribed (mid')
  return client
}
