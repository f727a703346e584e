// The floor: Node's TLS server with the same certificates, verification and suites, and a canned CONNACK.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServer } from 'node:tls'

const [port, data, anchors] = process.argv.slice(2) as [string, string, string]
const server = createServer(
  {
    cert: readFileSync(join(data, 'server.crt')),
    key: readFileSync(join(data, 'keys', 'server.key')),
    ca: readFileSync(anchors),
    requestCert: true,
    rejectUnauthorized: true,
    noDelay: true,
  },
  socket => {
    socket.on('error', () => {})
    socket.once('data', () => socket.write(Buffer.from([0x20, 0x02, 0x00, 0x00])))
  },
)
server.listen(Number(port), '127.0.0.1')
process.on('SIGTERM', () => process.exit(0))
