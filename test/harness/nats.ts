// Debian's nats-server on loopback, in a directory of its own, on a port that is free.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMosquitto } from '../e2e/mosquitto-server.ts'

export type NatsServer = AsyncDisposable & {
  port: number
  url: string
  directory: string
  output(): string
  stop(): Promise<void>
}

/** `extra` is more of its configuration; `port` one that was free before, so that it comes back where it was. */
export async function startNats(extra = '', port?: number): Promise<NatsServer> {
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-nats-'))
  const file = join(directory, 'nats.conf')
  const server = await startMosquitto(
    free => {
      writeFileSync(file, `listen: "127.0.0.1:${port ?? free}"\n${extra}\n`)
      return file
    },
    free => answers(port ?? free),
    'nats-server',
  )
  const at = port ?? server.port
  return {
    port: at,
    url: `nats://127.0.0.1:${at}`,
    directory,
    output: server.server.output,
    stop: async () => await server[Symbol.asyncDispose](),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
      .once('data', () => resolve(true))
      .once('error', () => resolve(false))
    socket.once('data', () => socket.destroy())
  })
}
