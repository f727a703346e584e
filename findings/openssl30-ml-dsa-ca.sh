#!/usr/bin/env bash
# OpenSSL 3.0 (Debian 12): an ordinary P-256 key cannot be used with a certificate that an ML-DSA CA signed, and the errors name something else.
#
# A good engineer expects: a client signs the handshake with its own P-256 key and leaves the CA's signature to the server, so what signed
# its certificate does not matter to it; and a library that cannot verify ML-DSA says so.
# What happens: `openssl x509` shows the certificate without an error. The client refuses to use it: "ca md too weak" (the library does not know
# how strong the signature is); at security level 0 it connects. mosquitto_pub says so with -d alone, otherwise "A TLS error occurred".
# `openssl verify` says "unable to get local issuer certificate" although the CA is in the file that it was given. A certificate with an
# ML-DSA key is refused with "ee key too small". So under an ML-DSA CA no device on Debian's OpenSSL 3.0 connects, whatever its own key is.
#
# Output seen (November 2026):
#   OpenSSL 3.0.22: x509 -subject: subject=CN = d1
#   OpenSSL 3.0.22: verify: unable to get local issuer certificate
#   OpenSSL 3.0.22: client with its P-256 key: ca md too weak
#   OpenSSL 3.0.22: client at security level 0: CONNECTION ESTABLISHED
#   mosquitto_pub 2.0.11 with the P-256 key: ca md too weak
#   mosquitto_pub 2.0.11 with an ML-DSA certificate: ee key too small
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own packages: openssl, mosquitto-clients.
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund node@26.10.0 >/dev/null
cat >make.js <<'JS'
// A CA with an ML-DSA-65 key (RFC 9881) that signs a certificate of a P-256 key and one of an ML-DSA-65 key.
import { generateKeyPairSync, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
const der = (tag, ...parts) => {
  const body = Buffer.concat(parts)
  const size = Buffer.from(body.length.toString(16).padStart(body.length > 255 ? 4 : 2, '0'), 'hex')
  return Buffer.concat([Buffer.from(body.length < 128 ? [tag] : [tag, 0x80 + size.length]), size, body])
}
const hex = text => Buffer.from(text, 'hex')
const name = text => der(0x30, der(0x31, der(0x30, hex('0603550403'), der(0x0c, Buffer.from(text)))))
const mlDsa65 = der(0x30, hex('0609608648016503040312'))
const day = 86_400_000
const time = at => der(0x17, Buffer.from(new Date(at).toISOString().replace(/^20|[-:T]|\.\d+/g, '')))
const ca = generateKeyPairSync('ml-dsa-65')
const write = (subject, pair, extensions) => {
  const tbs = der(
    0x30, hex('a003020102'), der(0x02, Buffer.from([1 + subject.length])), mlDsa65, name('ca'),
    der(0x30, time(Date.now() - day), time(Date.now() + 30 * day)), name(subject),
    pair.publicKey.export({ type: 'spki', format: 'der' }), der(0xa3, der(0x30, ...extensions)),
  )
  const bytes = der(0x30, tbs, mlDsa65, der(0x03, Buffer.from([0]), sign(null, tbs, ca.privateKey)))
  const lines = bytes.toString('base64').match(/.{1,64}/g).join('\n')
  writeFileSync(`${subject}.crt`, `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`)
  writeFileSync(`${subject}.key`, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
}
const isCa = [hex('300f0603551d130101ff040530030101ff'), hex('300e0603551d0f0101ff040403020106')]
const isLeaf = [hex('300e0603551d0f0101ff040403020780')]
write('ca', ca, isCa)
write('d1', generateKeyPairSync('ec', { namedCurve: 'P-256' }), isLeaf)
write('d2', generateKeyPairSync('ml-dsa-65'), isLeaf)
JS
node_modules/.bin/node make.js
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.crt -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2>/dev/null
port=$((20000 + RANDOM % 20000))
openssl s_server -accept "127.0.0.1:$port" -cert server.crt -key server.key -Verify 1 -quiet >server.log 2>&1 </dev/null &
server=$!
for _ in $(seq 50); do
  (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  sleep 0.1
done

connect() { openssl s_client -connect "127.0.0.1:$port" -cert d1.crt -key d1.key -CAfile server.crt -brief "$@" </dev/null 2>&1 || true; }
publish() { mosquitto_pub -d -h localhost -p "$port" --cafile server.crt --cert "$1.crt" --key "$1.key" -t t -m 1 2>&1 || true; }
reason() { grep -o "$1" || echo "something else"; }

library=$(openssl version | cut -d' ' -f1,2)
program="mosquitto_pub $( (mosquitto_pub --version || true) | sed -n 's/.*version //p' | cut -d' ' -f1 | head -1)"
subject=$(openssl x509 -in d1.crt -noout -subject)
verify=$( (openssl verify -CAfile ca.crt d1.crt 2>&1 || true) | reason "unable to get local issuer certificate" | head -1)
own=$(connect | reason "ca md too weak" | head -1)
loose=$(connect -cipher DEFAULT@SECLEVEL=0 | grep -o "CONNECTION ESTABLISHED" || echo "not connected")
first=$(publish d1 | reason "ca md too weak" | head -1)
second=$(publish d2 | reason "ee key too small" | head -1)
printf '%s\n' "$library: x509 -subject: $subject" "$library: verify: $verify" "$library: client with its P-256 key: $own" \
  "$library: client at security level 0: $loose" "$program with the P-256 key: $first" "$program with an ML-DSA certificate: $second"
[ "$verify" = "unable to get local issuer certificate" ] && [ "$own" = "ca md too weak" ] && [ "$first" = "$own" ] && [ "$second" = "ee key too small" ]
