// A TPM emulator (swtpm) of a test's own, on a Unix socket, and the commands of tpm2-tools against it. It ends with the test.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

export type Swtpm = AsyncDisposable & {
  /** Where its files may be. */
  directory: string
  /** What a shell that uses it needs. */
  environment: Record<string, string>
  /** Runs a command of tpm2-tools in the directory, and flushes what it leaves loaded: a TPM holds three objects. */
  run(command: string, ...args: string[]): string
  read(file: string): Buffer
}

export async function startSwtpm(): Promise<Swtpm> {
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-tpm-'))
  const socket = join(directory, 'tpm')
  const tpm = spawn(
    'swtpm',
    [
      ...['socket', '--tpm2', '--tpmstate', `dir=${directory}`, '--flags', 'not-need-init,startup-clear'],
      ...['--ctrl', `type=unixio,path=${socket}.ctrl`, '--server', `type=unixio,path=${socket}`],
    ],
    { stdio: 'ignore' },
  )
  const ended = new Promise<void>(resolve => tpm.once('exit', () => resolve()))
  await until(() => existsSync(socket) && existsSync(`${socket}.ctrl`))
  const environment = { TPM2TOOLS_TCTI: `swtpm:path=${socket}`, TPM2OPENSSL_TCTI: `swtpm:path=${socket}` }
  const options = { cwd: directory, env: { ...process.env, ...environment }, encoding: 'utf8' } as const
  const run = (command: string, ...args: string[]) =>
    execFileSync(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  return {
    directory,
    environment,
    run(command, ...args) {
      const output = run(command, ...args)
      run('tpm2_flushcontext', '-t')
      return output
    },
    read: file => readFileSync(join(directory, file)),
    async [Symbol.asyncDispose]() {
      tpm.kill()
      await ended
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
