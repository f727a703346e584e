#!/usr/bin/env bash
# Node 22 to 26, node:http and Fastify 5: server.close() cuts answers that are being sent, by default and without an error.
#
# A good engineer expects: `close()` is the gentle way out. Its documentation promises to close connections "which are not sending a request or
# waiting for a response", and closeAllConnections() is there for the rest.
# What happens: since Node 19 close() also ends idle connections, and a connection counts as idle once `response.end(body)` was called, however
# much of the body the client has still to read. What does not fit into the buffers of the kernel is lost: a large export, a revocation list, or the
# last chunk of an event stream. The server sees no error, the client an aborted response (ECONNRESET); behind a proxy it may be a cut file.
# Around it: count answers from 'request' to the 'close' of the response and wait for none, with a deadline, before close() is called.
# A response that is piped or written in parts (end() not called yet) is waited for, which hides the fault in most tests.
#
# Output seen (November 2026):
#   node v22.23.1 http: whole: no, in parts: yes
#   node v26.10.0 http: whole: no, in parts: yes
#   node v26.10.0 fastify 5.12.8: whole: no
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund fastify@5.12.8 >/dev/null
for version in 22.23.1 26.10.0; do
  mkdir "node-$version"
  (cd "node-$version" && echo '{"private":true}' >package.json && npm install --silent --no-audit --no-fund "node@$version" >/dev/null)
done

cat >try.js <<'JS'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import fastify from 'fastify'

const BODY = Buffer.alloc(64 * 1024 * 1024, 'x')

/** Asks, closes the server at the first bytes, reads on slowly; whether all of the body came. */
async function closedAmidAnswer(port, close) {
  const response = await new Promise((resolve, reject) =>
    http.get({ port, host: '127.0.0.1', agent: false }, resolve).on('error', reject),
  )
  await new Promise(resolve => response.once('readable', resolve))
  close()
  let bytes = 0
  try {
    for await (const chunk of response) {
      bytes += chunk.length
      if (bytes % 8 === 0) await new Promise(resolve => setImmediate(resolve))
    }
  } catch {}
  return bytes === BODY.length ? 'yes' : 'no'
}

async function plain(answer) {
  const server = http.createServer((_, response) => answer(response)).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  return closedAmidAnswer(server.address().port, () => server.close())
}

/** As a stream does: the next part when the one before was taken. */
async function inParts(response) {
  for (let at = 0; at < BODY.length; at += 1_048_576)
    if (!response.write(BODY.subarray(at, at + 1_048_576))) await new Promise(resolve => response.once('drain', resolve))
  response.end()
}

if (process.argv[2] === 'fastify') {
  const app = fastify().get('/', async () => BODY)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const whole = await closedAmidAnswer(app.server.address().port, () => void app.close())
  const { version } = JSON.parse(readFileSync('node_modules/fastify/package.json', 'utf8'))
  console.log(`node ${process.version} fastify ${version}: whole: ${whole}`)
} else {
  const whole = await plain(response => response.end(BODY))
  console.log(`node ${process.version} http: whole: ${whole}, in parts: ${await plain(inParts)}`)
}
process.exit(0)
JS
for version in 22.23.1 26.10.0; do ./node-$version/node_modules/.bin/node try.js; done | tee seen.txt
./node-26.10.0/node_modules/.bin/node try.js fastify | tee -a seen.txt
[ "$(grep -c 'whole: no' seen.txt)" = 3 ] && [ "$(grep -c 'in parts: yes' seen.txt)" = 2 ]
