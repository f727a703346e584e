#!/usr/bin/env bash
# dehydrated 0.7.0 (Debian 12): a certificate without DNS names is obtained once and never renewed, and no word says why.
#
# A good engineer expects: what a CA issued and dehydrated took is renewed when it is due. A CA may name devices by other things than DNS names; certbot
# and lego renew such certificates.
# What happens: before each renewal dehydrated lists the DNS names of cert.pem by a pipeline with grep, under `set -e` and `pipefail`. Where there is none, grep
# finds nothing, and the script ends in the middle of a line with exit code 1: no error, no hook, no order; `--force` does not help. The
# certificate ends months after an installation that was seen to work, and cron's mail shows half a line.
# Around it: remove cert.pem before `dehydrated -c`, once fullchain.pem is due.
#
# Output seen (November 2026, dehydrated 0.7.0-3), 10 days before the end:
#   subjectAltName DNS:gateway.example: asks for an order: yes
#   subjectAltName URI:urn:gateway: asks for an order: no, exit 1, last line: " + Checking domain name(s) of existing cert..."
#   subjectAltName URI:urn:gateway, --force: asks for an order: no, exit 1, last line: " + Checking domain name(s) of existing cert..."
#   subjectAltName URI:urn:gateway, without cert.pem: asks for an order: yes
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own packages: dehydrated, openssl, curl.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.crt -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2>/dev/null
cat >server.mjs <<'JS'
// An ACME server that makes accounts, notes that an order was asked for, and refuses it.
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
let nonces = 0
const server = createServer({ key: readFileSync('server.key'), cert: readFileSync('server.crt') }, (request, answer) => {
  request.resume()
  const url = path => `https://localhost:${server.address().port}/${path}`
  const path = request.url.slice(1)
  if (path === 'newOrder') appendFileSync('orders', 'asked\n')
  const answers = {
    directory: { newNonce: url('newNonce'), newAccount: url('newAccount'), newOrder: url('newOrder'), revokeCert: url('revokeCert'), meta: {} },
    newAccount: { status: 'valid' },
    newOrder: { type: 'urn:ietf:params:acme:error:rejectedIdentifier', detail: 'not today' },
  }
  answer.writeHead({ newAccount: 201, newOrder: 403 }[path] ?? 200, {
    'content-type': path === 'newOrder' ? 'application/problem+json' : 'application/json',
    'replay-nonce': `n${nonces++}`,
    ...(path === 'newAccount' && { location: url('account/1') }),
  })
  answer.end(JSON.stringify(answers[path] ?? {}))
})
server.listen(0, '127.0.0.1', () => {
  writeFileSync('port.new', String(server.address().port))
  renameSync('port.new', 'port')
})
JS
node server.mjs &
server=$!
until [ -f port ]; do sleep 0.1; done
mkdir challenges
cat >config <<END
CA=https://localhost:$(cat port)/directory
CURL_OPTS="--cacert $folder/server.crt"
BASEDIR=$folder
WELLKNOWN=$folder/challenges
KEY_ALGO=prime256v1
ACCOUNT_KEY_ALGO=prime256v1
END
dehydrated --config config --register --accept-terms >register.log 2>&1

try() { # SUBJECTALTNAME WHAT ARGUMENT…
  local certificate=certs/gateway.example
  mkdir -p "$certificate"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$certificate/privkey.pem" -out "$certificate/cert.pem" -days 10 \
    -subj /CN=gateway -addext "subjectAltName=$1" 2>/dev/null
  cp "$certificate/cert.pem" "$certificate/fullchain.pem"
  [ "$2" != ', without cert.pem' ] || rm "$certificate/cert.pem"
  : >orders
  local code=0 asked=no more=
  dehydrated --config config -c -d gateway.example "${@:3}" >out 2>&1 || code=$?
  [ ! -s orders ] || asked=yes
  [ "$asked" = yes ] || more=", exit $code, last line: \"$(tail -n 1 out)\""
  echo "subjectAltName $1$2: asks for an order: $asked$more"
}
dpkg-query -W dehydrated
{
  try DNS:gateway.example ''
  try URI:urn:gateway ''
  try URI:urn:gateway ', --force' --force
  try URI:urn:gateway ', without cert.pem'
} >seen
cat seen
cat >expected <<'TEXT'
subjectAltName DNS:gateway.example: asks for an order: yes
subjectAltName URI:urn:gateway: asks for an order: no, exit 1, last line: " + Checking domain name(s) of existing cert..."
subjectAltName URI:urn:gateway, --force: asks for an order: no, exit 1, last line: " + Checking domain name(s) of existing cert..."
subjectAltName URI:urn:gateway, without cert.pem: asks for an order: yes
TEXT
diff expected seen
