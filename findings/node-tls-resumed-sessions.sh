#!/usr/bin/env bash
# Node 24.21 and 26.10, tls: a new server certificate ends all session tickets, and a resumed session has lost the client's chain.
#
# A good engineer expects: `server.setTicketKeys()` stands until the next call, so that a server, or several with the same keys, resume sessions before and
# after `server.setSecureContext()` has brought a renewed certificate. And a session that was resumed shows the peer as the full handshake did.
# What happens: setSecureContext makes a context with ticket keys of its own. Each client's next connection is a full handshake, at all servers at once where
# certificates are renewed at once, and from then on no server resumes what another one issued. `ticketKeys` among its options keeps them.
# And a ticket holds the client's certificate alone: `getPeerCertificate(true)` has `issuerCertificate` and `getPeerX509Certificate().issuerCertificate` after
# a full handshake, and not after a resumption. Code that verifies the chain by itself, because CAs come and go, works at each device's first connection
# and refuses, or throws, at its second.
# Around it: give `ticketKeys` each time; keep the chain by the hash of its certificate, and verify it again at each connection.
#
# Output seen (November 2026), of 24.21.0 as of 26.10.0, in TLS 1.2 as in TLS 1.3:
#   node v26.10.0, TLSv1.3: the first connection: resumed false, issuerCertificate CN=ca, of the X509Certificate CN=ca
#   node v26.10.0, TLSv1.3: the next: resumed true, issuerCertificate undefined, of the X509Certificate undefined
#   node v26.10.0, TLSv1.3: after setSecureContext: resumed false, ticket keys as set: false
#   node v26.10.0, TLSv1.3: after setSecureContext with ticketKeys: resumed true, ticket keys as set: true
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 24.21.0 26.10.0; do
  mkdir "node-$version"
  (cd "node-$version" && echo '{"private":true}' >package.json && npm install --silent --no-audit --no-fund "node@$version" >/dev/null)
done
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30)
openssl req -x509 "${key[@]}" -keyout server.key -out server.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
openssl req -x509 "${key[@]}" -keyout ca.key -out ca.crt -subj /CN=ca 2>/dev/null
openssl req "${key[@]}" -keyout device.key -out device.csr -subj /CN=device 2>/dev/null
openssl x509 -req -in device.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out device.crt 2>/dev/null
cat device.crt ca.crt >chain.crt
cat >try.mjs <<'JS'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import tls from 'node:tls'

async function play(version) {
  const own = { key: readFileSync('server.key'), cert: readFileSync('server.crt'), ca: [] }
  const seen = []
  // Looks at the chain itself, so nothing is verified here.
  const server = tls.createServer({ ...own, requestCert: true, rejectUnauthorized: false }, socket => {
    seen.push({
      resumed: socket.isSessionReused(),
      legacy: socket.getPeerCertificate(true).issuerCertificate,
      modern: socket.getPeerX509Certificate().issuerCertificate,
    })
    socket.end('x')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const name = issuer => (issuer ? `CN=${/CN=(.*)/.exec(issuer)?.[1] ?? issuer}` : 'undefined')
  /** Connects as the device, with `session` where it has one; the session that it may resume next. */
  async function connect(session) {
    const socket = tls.connect({
      port: server.address().port, host: '127.0.0.1', servername: 'localhost', minVersion: version, maxVersion: version, session,
      ca: readFileSync('server.crt'), key: readFileSync('device.key'), cert: readFileSync('chain.crt'),
    })
    let next
    socket.on('session', ticket => (next = ticket)).resume()
    await once(socket, 'close')
    return next
  }
  const say = text => console.log(`node ${process.version}, ${version}: ${text}`)
  const chain = ({ resumed, legacy, modern }) =>
    `resumed ${resumed}, issuerCertificate ${name(legacy?.subject.CN)}, of the X509Certificate ${name(modern?.subject)}`

  const ticketKeys = randomBytes(48)
  server.setTicketKeys(ticketKeys)
  const session = await connect()
  say(`the first connection: ${chain(seen.at(-1))}`)
  await connect(session)
  say(`the next: ${chain(seen.at(-1))}`)
  const again = async text => {
    await connect(session)
    say(`${text}: resumed ${seen.at(-1).resumed}, ticket keys as set: ${server.getTicketKeys().equals(ticketKeys)}`)
  }
  server.setSecureContext(own)
  await again('after setSecureContext')
  server.setSecureContext({ ...own, ticketKeys })
  await again('after setSecureContext with ticketKeys')
  server.close()
}
await play('TLSv1.2')
await play('TLSv1.3')
JS
for version in 24.21.0 26.10.0; do "node-$version/node_modules/.bin/node" try.mjs; done | tee seen
for version in 24.21.0 26.10.0; do
  for protocol in TLSv1.2 TLSv1.3; do
    printf "node v$version, $protocol: %s\n" 'the first connection: resumed false, issuerCertificate CN=ca, of the X509Certificate CN=ca' \
      'the next: resumed true, issuerCertificate undefined, of the X509Certificate undefined' \
      'after setSecureContext: resumed false, ticket keys as set: false' \
      'after setSecureContext with ticketKeys: resumed true, ticket keys as set: true'
  done
done >expected
diff expected seen
