#!/usr/bin/env bash
# certbot 2.1.0 (Debian 12, Python 3.11): what an ACME server answers to an order is told as "AttributeError: can't set attribute".
#
# A good engineer expects: the problem document of RFC 8555 §6.7 with its type and detail, as certbot shows it for an account.
# What happens: the error of certbot's library is an immutable object. On its way out it passes a context manager of Python, which since 3.11 sets the
# traceback of what it re-raises; that fails, and the failure is what is printed. The server's error stands in letsencrypt.log alone, in the traceback above.
# Neither package is at fault by itself, and every refusal of an order is concerned: a refused name or key, too many requests. So an operator of an ACME
# server for fleets with Debian 12 must say where to look, or is asked about an AttributeError.
#
# Output seen (November 2026, certbot 2.1.0-4, python3-acme 2.1.0-1, python3-josepy 1.13.0-1, python3.11 3.11.2-6+deb12u6):
#   newAccount, externalAccountRequired: printed: the binding is missing; in the log: the binding is missing
#   newOrder, rejectedIdentifier: printed: AttributeError: can't set attribute; in the log: no such gateway
#   finalize, badCSR: printed: AttributeError: can't set attribute; in the log: this key is taken
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own packages: certbot, openssl.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.crt -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2>/dev/null
cat >server.mjs <<'JS'
// An ACME server that refuses at one step; orders are ready at once, their authorization valid.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
const [step, type, detail] = process.argv.slice(2)
const identifier = { type: 'dns', value: 'gateway.example' }
const expires = new Date(Date.now() + 3_600_000).toISOString()
let nonces = 0
const server = createServer({ key: readFileSync('server.key'), cert: readFileSync('server.crt') }, (request, answer) => {
  request.resume()
  const url = path => `https://localhost:${server.address().port}/${path}`
  const path = request.url.slice(1)
  const refused = path === step
  const answers = {
    directory: { newNonce: url('newNonce'), newAccount: url('newAccount'), newOrder: url('newOrder'), meta: {} },
    newAccount: { status: 'valid' },
    newOrder: { status: 'ready', expires, identifiers: [identifier], authorizations: [url('authorization')], finalize: url('finalize') },
    authorization: {
      status: 'valid', expires, identifier,
      challenges: [{ type: 'http-01', url: url('challenge'), token: 'a'.repeat(43), status: 'valid' }],
    },
  }
  const made = path === 'newAccount' || path === 'newOrder'
  answer.writeHead(refused ? 400 : made ? 201 : 200, {
    'content-type': refused ? 'application/problem+json' : 'application/json',
    'replay-nonce': `n${nonces++}`,
    ...(made && { location: url(`${path}/1`) }),
  })
  answer.end(JSON.stringify(refused ? { type: `urn:ietf:params:acme:error:${type}`, detail } : answers[path]))
})
server.listen(0, '127.0.0.1', () => {
  writeFileSync('port.new', String(server.address().port))
  renameSync('port.new', 'port')
})
JS

try() { # STEP TYPE DETAIL
  rm -f port
  node server.mjs "$@" &
  server=$!
  until [ -f port ]; do sleep 0.1; done
  REQUESTS_CA_BUNDLE=server.crt certbot certonly -n --agree-tos --register-unsafely-without-email --standalone -d gateway.example \
    --server "https://localhost:$(cat port)/directory" --config-dir "$1" --work-dir "$1" --logs-dir "$1" >"$1.txt" 2>&1 && return 1
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=
  printed=$(grep -o "AttributeError: can't set attribute\|$3" "$1.txt" | paste -sd' ')
  logged=$(grep -m1 -o ":: $3\$" "$1/letsencrypt.log" | cut -c4-)
  echo "$1, $2: printed: $printed; in the log: $logged"
}
certbot --version
{
  try newAccount externalAccountRequired 'the binding is missing'
  try newOrder rejectedIdentifier 'no such gateway'
  try finalize badCSR 'this key is taken'
} | tee seen
cat >expected <<'TEXT'
newAccount, externalAccountRequired: printed: the binding is missing; in the log: the binding is missing
newOrder, rejectedIdentifier: printed: AttributeError: can't set attribute; in the log: no such gateway
finalize, badCSR: printed: AttributeError: can't set attribute; in the log: this key is taken
TEXT
diff expected seen
