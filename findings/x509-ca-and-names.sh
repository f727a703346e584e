#!/usr/bin/env bash
# Node 26.10 and @peculiar/x509 2.2.0: CA:TRUE that is not told, and a name that is read as another.
#
# A good engineer expects: `X509Certificate.ca` tells what basicConstraints says, and a common name is the text that was written.
# What happens: `ca` is false for a certificate with CA:TRUE whose key usage lacks keyCertSign (OpenSSL's X509_check_ca looks at both), so a check
# that devices are no CAs lets it pass. `subject` is undefined for an empty name, though its type says string. And @peculiar/x509 gives a
# common name that is a NumericString as hex of its DER: 12345 becomes 12053132333435, another device.
#
# Output seen (November 2026):
#   node v26.10.0: CA:TRUE with keyUsage digitalSignature: ca is false
#   node v26.10.0: an empty subject is undefined
#   @peculiar/x509 2.2.0: the common name 12345 as a NumericString is 12053132333435
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund node@26.10.0 @peculiar/x509@2.2.0 reflect-metadata@0.2.2 >/dev/null
make() { # FILE SUBJECT EXTENSION…
  local file=$1 subject=$2
  shift 2
  printf '[req]\ndistinguished_name=dn\nstring_mask=default\n[dn]\n[e]\n%s\n' "$(printf '%s\n' "$@")" >"$file.cnf"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$file.key" -out "$file.pem" -days 30 \
    -subj "$subject" -config "$file.cnf" -extensions e 2>/dev/null
}
make ca /CN=x 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,digitalSignature'
make empty / 'subjectAltName=critical,DNS:unit-3'
make number /CN=12345 'basicConstraints=CA:FALSE'
cat >try.js <<'JS'
import 'reflect-metadata'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as x509 from '@peculiar/x509'
const read = name => new X509Certificate(readFileSync(`${name}.pem`))
const ca = read('ca').ca
const subject = read('empty').subject
// The same certificate with the type of its name changed: what is read is looked at, not the signature.
const der = Buffer.from(read('number').raw)
for (let at = der.indexOf('12345'); at >= 0; at = der.indexOf('12345', at + 1)) der[at - 2] = 0x12
const [name] = new x509.X509Certificate(new Uint8Array(der)).subjectName.getField('CN')
console.log(`node ${process.version}: CA:TRUE with keyUsage digitalSignature: ca is ${ca}`)
console.log(`node ${process.version}: an empty subject is ${subject}`)
console.log(`@peculiar/x509 2.2.0: the common name 12345 as a NumericString is ${name}`)
process.exit(ca === false && subject === undefined && name !== '12345' ? 0 : 1)
JS
node_modules/.bin/node try.js
