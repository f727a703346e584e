// What an ML-DSA key costs in a full TLS 1.3 handshake, beside P-256, in one run: octets on the wire and the server's CPU.
// node bench/post-quantum.ts [handshakes]. The server is a process of its own with the broker's TLS profile.
import { fork } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, type X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { connect, createServer } from 'node:tls'
import { signatureSchemes, tlsProfile } from '../pki/tls-profile.ts'
import { pqLeaf } from '../test/harness/ml-dsa.ts'

const COUNT = Number(process.argv[2] ?? 150)
const ROUNDS = 3
const p256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const kinds: Record<string, () => KeyObject> = {
  'P-256': p256,
  'ML-DSA-44': () => generateKeyPairSync('ml-dsa-44').privateKey,
  'ML-DSA-65': () => generateKeyPairSync('ml-dsa-65').privateKey,
  'ML-DSA-87': () => generateKeyPairSync('ml-dsa-87').privateKey,
}

if (process.send === undefined) await measure()
else serve()

function serve(): void {
  const { certificate, key } = pqLeaf('server', p256(), null)
  const options = {
    ...tlsProfile,
    sigalgs: signatureSchemes('accept'),
    requestCert: true,
    rejectUnauthorized: false,
  }
  const server = createServer({ ...options, cert: certificate, key }, socket => {
    // What admission reads of every connection: the certificate and its own signature.
    const shown = socket.getPeerX509Certificate() as X509Certificate
    shown.verify(shown.publicKey)
    socket.end('x')
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }))
  process.on('message', () => process.send?.(process.cpuUsage()))
}

async function measure(): Promise<void> {
  const child = fork(import.meta.filename)
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  const cpu = async () => {
    child.send('cpu')
    const [{ user, system }] = (await once(child, 'message')) as [{ user: number; system: number }]
    return user + system
  }
  const devices = Object.entries(kinds).map(([name, make]) => ({
    name,
    ...pqLeaf('d', make(), null),
    us: [] as number[],
    sent: 0,
  }))
  for (let round = 0; round <= ROUNDS; round += 1)
    for (const device of devices) {
      const before = await cpu()
      for (let index = 0; index < COUNT; index += 1) device.sent = await handshake(port, device)
      // The first round warms up.
      if (round > 0) device.us.push(((await cpu()) - before) / COUNT)
    }
  for (const { name, us, sent, der } of devices) {
    const median = us.sort((a, b) => a - b)[us.length >> 1]!
    console.log(
      `${name}: certificate ${der.length} octets, client sends ${sent}, server CPU ${median.toFixed(0)} µs`,
    )
  }
  child.disconnect()
  child.kill()
}

async function handshake(
  port: number,
  { certificate, key }: { certificate: string; key: string },
): Promise<number> {
  const raw = createConnection({ host: '127.0.0.1', port })
  const socket = connect({ socket: raw, cert: certificate, key, rejectUnauthorized: false })
  socket.resume()
  await once(socket, 'end')
  const sent = raw.bytesWritten
  socket.destroy()
  return sent
}
