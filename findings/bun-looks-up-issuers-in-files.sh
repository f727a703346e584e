#!/usr/bin/env bash
# Bun 1.4.5, node:tls: a server without `ca` asks the file system for issuers at each handshake, six times for a client with a certificate.
#
# A good engineer expects: certificates of CAs are read once, when the context is made, as Node does; a server that takes any
# certificate and judges it by itself (`requestCert`, `rejectUnauthorized: false`, no `ca`) touches no files while it serves.
# What happens: BoringSSL's context looks in the system's folder of CAs for each issuer that it does not have, by the hash of its name, and remembers no
# failure: two files at each handshake, six where the client shows a certificate. These are blocking calls on the thread that serves all connections, so a
# folder on a slow disk or a network is felt by all of them, and a tracer or an audit daemon shows files that nobody configured.
# Around it: give `ca` any certificate. Then there are none.
#
# Needs Debian's strace. Output seen (November 2026): files asked for below /etc/ssl/certs during 10 connections
#   bun 1.4.5, no ca: client without a certificate: 20
#   bun 1.4.5, no ca: client with a certificate: 60
#   bun 1.4.5, a ca: client with a certificate: 0
#   node 26.10.0, no ca: client with a certificate: 0
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own packages: strace, openssl.
echo '{ "private": true }' >package.json
npm install --silent --no-audit --no-fund node@26.10.0 >/dev/null
mkdir bun
(cd bun && echo '{ "private": true }' >package.json && npm install --silent --no-audit --no-fund bun@1.4.5 >/dev/null)
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30)
openssl req -x509 "${key[@]}" -keyout ca.key -out ca.crt -subj '/CN=ca of the finding' 2>/dev/null
openssl req -x509 "${key[@]}" -keyout server.key -out server.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
openssl req "${key[@]}" -keyout device.key -out device.csr -subj /CN=device 2>/dev/null
openssl x509 -req -in device.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out device.crt 2>/dev/null
cat >server.mjs <<'JS'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import tls from 'node:tls'
const own = { key: readFileSync('server.key'), cert: readFileSync('server.crt') }
const ca = process.argv[2] === 'ca' && { ca: readFileSync('ca.crt') }
const server = tls.createServer({ ...own, requestCert: true, rejectUnauthorized: false, ...ca }, socket => socket.end('x'))
server.listen(0, '127.0.0.1', () => {
  writeFileSync('port.new', String(server.address().port))
  renameSync('port.new', 'port')
})
JS
cat >client.mjs <<'JS'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import tls from 'node:tls'
const own = process.argv[3] === 'with' && { key: readFileSync('device.key'), cert: readFileSync('device.crt') }
for (let at = 0; at < 10; at++) {
  const to = { port: Number(process.argv[2]), host: '127.0.0.1', servername: 'localhost', ca: readFileSync('server.crt') }
  await once(tls.connect({ ...to, ...own }).resume(), 'close')
}
JS

# By the hash of a name: eight hexadecimal digits and a number.
asked() { grep -cE '"/etc/ssl/certs/[0-9a-f]{8}\.[0-9]+"' trace || true; }
try() { # RUNTIME PROGRAM CA CERTIFICATE
  rm -f port
  strace -f -qq -e trace=file -o trace "$2" server.mjs "$3" &
  local tracer=$!
  until [ -f port ]; do sleep 0.1; done
  server=$(pgrep -P "$tracer")
  local before after
  before=$(asked)
  node_modules/.bin/node client.mjs "$(cat port)" "$4"
  kill "$server"
  wait "$tracer" 2>/dev/null || true
  server=
  after=$(asked)
  echo "$1, ${3/#ca/a ca}: client ${4} a certificate: $((after - before))"
}
bun=bun/node_modules/.bin/bun
node=node_modules/.bin/node
{
  try "bun $($bun --version)" $bun 'no ca' without
  try "bun $($bun --version)" $bun 'no ca' with
  try "bun $($bun --version)" $bun ca with
  try "node $($node --version | tr -d v)" $node 'no ca' with
} >seen
cat seen
cat >expected <<'TEXT'
bun 1.4.5, no ca: client without a certificate: 20
bun 1.4.5, no ca: client with a certificate: 60
bun 1.4.5, a ca: client with a certificate: 0
node 26.10.0, no ca: client with a certificate: 0
TEXT
diff expected seen
