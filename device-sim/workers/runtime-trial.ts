// Whether a runtime may play devices: a device on it connects to a listener of this process, by plain TCP and TLS, and what it says of
// each connection is held against what this process saw. Does not know the runtime.
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, TLSSocket } from 'node:tls'
import { scriptFile } from '../assets.ts'
import { selfSigned } from '../enrollment/self-signed.ts'
import { packetTypes, readPackets, readPublish } from '../links/packets.ts'
import { credentialsOf } from '../links/session.ts'
import type { TrialAnswer, TrialTask } from './runtime-trial-device.ts'

const TRIAL_MS = 10_000
const HOUR_MS = 3_600_000
const ADMIT = Buffer.from([0x20, 2, 0, 0])
const REFUSE = Buffer.from([0x20, 2, 0, 5])

/** What a device must say of each connection, in this order. */
const EXPECTED: readonly [what: string, result: RegExp][] = [
  ['plain TCP', /^admitted$/],
  ['TLS with its certificate', /^admitted$/],
  ['TLS without a certificate', /^connack_5$/],
  ['a server that it does not trust', /^server_not_trusted_/],
  ['a server of another name', /^server_not_trusted_err_tls_cert_altname_invalid$/],
  ['another server than the pinned one', /^server_not_trusted_cert_not_pinned$/],
]

/** Null where all was as it should be, else what was not. */
export async function tryRuntime(program: string): Promise<string | null> {
  const [server, device, other] = await Promise.all([
    selfSigned('server', HOUR_MS, ['localhost']),
    selfSigned('device', HOUR_MS),
    selfSigned('other', HOUR_MS, ['localhost']),
  ])
  const seen: string[] = []
  const plain = createTcpServer(socket => serve(socket, seen, null))
  const tls = createTlsServer({
    key: server.key,
    cert: server.certificates,
    requestCert: true,
    rejectUnauthorized: false,
  })
  tls.on('tlsClientError', () => {})
  tls.on('secureConnection', (socket: TLSSocket) => serve(socket, seen, device.fingerprint))
  const child = fork(scriptFile('workers/runtime-trial-device'), [], {
    execPath: program,
    execArgv: [],
    serialization: 'json',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const ended = once(child, 'exit').then(
    ([code, signal]) => `it ended with ${signal ?? `exit code ${code}`}`,
    (error: Error) => error.message,
  )
  const overdue = setTimeout(() => child.kill('SIGKILL'), TRIAL_MS)
  try {
    const task: TrialTask = {
      plainPort: await portOf(plain),
      tlsPort: await portOf(tls),
      ca: server.certificates,
      otherCa: other.certificates,
      pinned: other.fingerprint,
      credentials: credentialsOf(device),
    }
    child.send(task, () => {})
    const answered = new Promise<TrialAnswer>(resolve => child.once('message', resolve))
    const answer = await Promise.race([answered, ended])
    if (typeof answer === 'string') return answer
    for (const [index, [what, expected]] of EXPECTED.entries()) {
      const result = answer.results[index]
      if (!expected.test(`${result}`)) return `with ${what} it said ${result}`
    }
    const whole = seen.filter(digest => digest === answer.sent)
    return whole.length === 2 ? null : 'what it sent did not arrive as it was'
  } finally {
    clearTimeout(overdue)
    child.kill('SIGKILL')
    plain.close()
    tls.close()
  }
}

async function portOf(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Answers CONNECT by the peer's certificate, null for any, and notes the digest of each payload. */
function serve(socket: Socket, seen: string[], fingerprint: string | null): void {
  const peer = socket instanceof TLSSocket ? socket.getPeerX509Certificate()?.fingerprint256 : undefined
  const admitted = fingerprint === null || peer?.replaceAll(':', '').toLowerCase() === fingerprint
  let left: Buffer | null = null
  let connected = false
  socket.on('error', () => {})
  socket.on('data', (bytes: Buffer) => {
    const read = readPackets(left, bytes, null, (_, first, body) => {
      if (!connected) {
        connected = true
        if (admitted) socket.write(ADMIT)
        else socket.end(REFUSE)
      }
      if (first >> 4 === packetTypes.publish) seen.push(digestOf(readPublish(first, body)?.payload))
      if (first >> 4 === packetTypes.disconnect) socket.end()
    })
    if (read === 'malformed') socket.destroy()
    else left = read
  })
}

function digestOf(payload: Buffer | undefined): string {
  return createHash('sha256')
    .update(payload ?? '')
    .digest('hex')
}
