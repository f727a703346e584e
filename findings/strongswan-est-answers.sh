#!/usr/bin/env bash
# strongSwan 5.9.8's EST client (Debian 12, `pki`): an answer in lines, in chunks or with a long head is not read.
#
# A good engineer expects: a client of HTTP/1.1 reads a body with chunks (RFC 9112 §7.1) and any number of header fields, and base64 with Content-Transfer-Encoding
# is read with line breaks (RFC 7030 §4.1.3, RFC 2045 §6.8) as without (RFC 8951 §3.1).
# What happens: it wants base64 in one line, Content-Length, and a head that came within its first 1,024 octets. Else it says that ASN.1 is too large, or
# "HTTP 200". libest, the other client in the field, wants the lines. So an EST server must look at its client; reverse proxies that add
# security headers or compress into chunks break enrollment, and the certificate looks damaged.
#
# Output seen (November 2026, strongswan-pki 5.9.8-5+deb12u6):
#   one line, Content-Length: a certificate
#   lines of 64 characters: length of ASN.1 object invalid or too large
#   chunks: EST request failed: HTTP 200
#   a header field of 600 octets: a certificate
#   a header field of 1,200 octets: length of ASN.1 object invalid or too large
#   curl reads all five: yes
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own packages: strongswan-pki, libstrongswan-standard-plugins, openssl, curl.
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30)
openssl req -x509 "${key[@]}" -keyout server.key -out server.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
openssl req -x509 "${key[@]}" -keyout ca.key -out ca.crt -subj /CN=ca 2>/dev/null
openssl crl2pkcs7 -nocrl -certfile ca.crt -outform DER -out cas.p7
cat >server.mjs <<'JS'
// Answers /cacerts (RFC 7030 §4.1), in the form that the first argument names.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
const [form, size] = process.argv.slice(2)
const line = readFileSync('cas.p7').toString('base64')
const body = form === 'lines' ? line.replace(/.{64}/g, '$&\r\n') + '\r\n' : line
const server = createServer({ key: readFileSync('server.key'), cert: readFileSync('server.crt') }, (request, answer) => {
  answer.writeHead(200, {
    'content-type': 'application/pkcs7-mime',
    'content-transfer-encoding': 'base64',
    ...(form !== 'chunks' && { 'content-length': body.length }),
    ...(form === 'head' && { 'x-policy': 'a'.repeat(Number(size)) }),
  })
  answer.end(body)
})
server.listen(0, '127.0.0.1', () => {
  writeFileSync('port.new', String(server.address().port))
  renameSync('port.new', 'port')
})
JS
read_by_curl=yes
try() { # WHAT FORM…
  rm -f port
  node server.mjs "${@:2}" &
  server=$!
  until [ -f port ]; do sleep 0.1; done
  local url="https://localhost:$(cat port)"
  pki --estca --url "$url" --cacert server.crt --outform pem >out 2>&1 || true
  # base64 ignores the line breaks; the octets must be those that were sent.
  curl -s --cacert server.crt "$url/.well-known/est/cacerts" | tr -d '\r' | base64 -d | cmp -s - cas.p7 || read_by_curl=no
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=
  local outcome
  outcome=$(grep -m1 -o 'BEGIN CERTIFICATE\|length of ASN.1 object invalid or too large\|EST request failed: HTTP 200' out || echo 'something else')
  echo "$1: ${outcome/BEGIN CERTIFICATE/a certificate}"
}
dpkg-query -W strongswan-pki
{
  try 'one line, Content-Length' line
  try 'lines of 64 characters' lines
  try 'chunks' chunks
  try 'a header field of 600 octets' head 600
  try 'a header field of 1,200 octets' head 1200
  echo "curl reads all five: $read_by_curl"
} >seen
cat seen
cat >expected <<'TEXT'
one line, Content-Length: a certificate
lines of 64 characters: length of ASN.1 object invalid or too large
chunks: EST request failed: HTTP 200
a header field of 600 octets: a certificate
a header field of 1,200 octets: length of ASN.1 object invalid or too large
curl reads all five: yes
TEXT
diff expected seen
