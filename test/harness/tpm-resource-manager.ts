// A resource manager before a TPM emulator, as /dev/tpmrm0 is before a TPM: objects of a client are loaded for one command and saved after it
// (TPM 2.0 Library, Part 1 §30), so that a client may have more of them than the three that a TPM holds. Sessions pass as they are.
import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'

const FLUSH = 0x165
const SAVE = 0x162
const LOAD = 0x161
const CAPABILITY = 0x17a
const NO_SESSIONS = 0x8001

/** Serves `path` from the emulator's socket. */
export async function startResourceManager(emulator: string, path: string): Promise<AsyncDisposable> {
  symlinkSync(`${emulator}.ctrl`, `${path}.ctrl`)
  const tpm = connect(emulator)
  await once(tpm, 'connect')
  const transmit = serialized(tpm)
  const commands = await commandsOf(transmit)
  // tpm2-tss connects anew for each command: objects belong to no connection.
  const execute = createExecutor(transmit, commands)
  const clients = new Set<Socket>()
  const server = createServer(client => {
    clients.add(client)
    client.on('close', () => clients.delete(client)).on('error', () => {})
    serve(client, execute)
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy()
      server.close()
      tpm.destroy()
      await once(server, 'close')
    },
  }
}

type Transmit = (command: Buffer) => Promise<Buffer>
type Commands = ReadonlyMap<number, { handles: number; givesHandle: boolean }>

function createExecutor(transmit: Transmit, commands: Commands): Transmit {
  const contexts = new Map<number, Buffer>()
  let next = 0x80ff_0000
  let before: Promise<unknown> = Promise.resolve()

  async function put(real: number, virtual: number): Promise<void> {
    const saved = await transmit(commandOf(SAVE, real))
    if (saved.readUInt32BE(6) === 0) contexts.set(virtual, saved.subarray(10))
    else contexts.delete(virtual)
    await transmit(commandOf(FLUSH, real))
  }

  async function execute(command: Buffer): Promise<Buffer> {
    const code = command.readUInt32BE(6)
    if (code === FLUSH && contexts.delete(command.readUInt32BE(10))) return commandOf(0).fill(0, 6)
    const { handles, givesHandle } = commands.get(code) ?? { handles: 0, givesHandle: false }
    const loaded: { real: number; virtual: number }[] = []
    for (let at = 10; at < 10 + 4 * handles; at += 4) {
      const virtual = command.readUInt32BE(at)
      const context = contexts.get(virtual)
      if (context === undefined) continue
      const real = (await transmit(commandOf(LOAD, context))).readUInt32BE(10)
      command.writeUInt32BE(real, at)
      loaded.push({ real, virtual })
    }
    const response = Buffer.from(await transmit(command))
    for (const { real, virtual } of loaded) await put(real, virtual)
    if (givesHandle && response.readUInt32BE(6) === 0 && response[10] === 0x80) {
      next += 1
      await put(response.readUInt32BE(10), next)
      response.writeUInt32BE(next, 10)
    }
    return response
  }

  return command => {
    const response = before.then(() => execute(command))
    before = response
    return response
  }
}

function serve(client: Socket, execute: Transmit): void {
  let received = Buffer.alloc(0)
  client.on('data', (part: Buffer) => {
    received = Buffer.concat([received, part])
    for (;;) {
      const size = received.length < 10 ? Number.POSITIVE_INFINITY : received.readUInt32BE(2)
      if (received.length < size) return
      const command = Buffer.from(received.subarray(0, size))
      received = received.subarray(size)
      void execute(command).then(response => client.write(response))
    }
  })
}

/** One command after the other, from any sender. */
function serialized(tpm: Socket): Transmit {
  let received = Buffer.alloc(0)
  let answered: ((response: Buffer) => void) | null = null
  let before: Promise<unknown> = Promise.resolve()
  tpm.on('data', (part: Buffer) => {
    received = Buffer.concat([received, part])
    if (received.length < 10 || received.length < received.readUInt32BE(2)) return
    answered?.(received)
    received = Buffer.alloc(0)
  })
  return command => {
    const response = before.then(
      () =>
        new Promise<Buffer>(resolve => {
          answered = resolve
          tpm.write(command)
        }),
    )
    before = response
    return response
  }
}

function commandOf(code: number, parameter: Buffer | number = Buffer.alloc(0)): Buffer {
  const octets = typeof parameter === 'number' ? uint32(parameter) : parameter
  const head = Buffer.alloc(10)
  head.writeUInt16BE(NO_SESSIONS)
  head.writeUInt32BE(10 + octets.length, 2)
  head.writeUInt32BE(code, 6)
  return Buffer.concat([head, octets])
}

/** What each command takes and gives (TPMA_CC, Part 2 §8.9). */
async function commandsOf(transmit: Transmit): Promise<Commands> {
  const COMMANDS = 2
  const asked = Buffer.concat([uint32(COMMANDS), uint32(0x11f), uint32(300)])
  const response = await transmit(commandOf(CAPABILITY, asked))
  const found = new Map<number, { handles: number; givesHandle: boolean }>()
  for (let at = 19; at + 4 <= response.length; at += 4) {
    const attributes = response.readUInt32BE(at)
    found.set(attributes & 0xffff, {
      handles: (attributes >>> 25) & 7,
      givesHandle: ((attributes >>> 28) & 1) === 1,
    })
  }
  return found
}

function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4)
  octets.writeUInt32BE(value)
  return octets
}
