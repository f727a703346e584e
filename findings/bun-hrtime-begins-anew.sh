#!/usr/bin/env bash
# Bun: process.hrtime() begins at zero in each process, and the onread callback of a socket is not called on the socket.
#
# A good engineer expects: process.hrtime.bigint() counts from a moment that all processes of a machine share, as it does on Node (both
# read the kernel's monotonic clock), so times of two processes can be compared; and a function given to many sockets as
# `onread.callback` finds the socket in `this`, as on Node. Node documents neither.
# What happens on Bun 1.4.5: hrtime is the age of the process, so what one process schedules for another lies minutes or days ahead;
# `this` is undefined.
#
# Output seen (December 2026):
#   node 26.10.0: hrtime in two processes differs by less than 5 s: true; onread is called on its socket: true
#   bun 1.4.5: hrtime in two processes differs by less than 5 s: false; onread is called on its socket: false
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true }' >package.json
npm install --silent --no-audit --no-fund node@npm:node@26.10.0 bun@1.4.5 >/dev/null
cat >try.js <<'JS'
// Waits for a second, so that the processes are of different age, and asks both for the time.
const { execFileSync } = require('node:child_process')
const { connect, createServer } = require('node:net')
if (process.argv[2] === 'now') {
  console.log(`${process.hrtime.bigint()}`)
  process.exit(0)
}
const server = createServer(socket => socket.end('hello')).listen(0, '127.0.0.1', () => {
  let own = null
  const socket = connect({
    port: server.address().port,
    host: '127.0.0.1',
    onread: {
      buffer: Buffer.alloc(100),
      callback() {
        own ??= this === socket
        return true
      },
    },
  })
  socket.on('close', () => {
    server.close()
    setTimeout(() => {
      const other = BigInt(execFileSync(process.execPath, [__filename, 'now'], { encoding: 'utf8' }))
      const apart = Number(other - process.hrtime.bigint()) / 1e9
      const name = process.versions.bun ? `bun ${process.versions.bun}` : `node ${process.versions.node}`
      console.log(`${name}: hrtime in two processes differs by less than 5 s: ${Math.abs(apart) < 5}; onread is called on its socket: ${own}`)
    }, 6000)
  })
})
JS
on_node=$(node_modules/.bin/node try.js)
on_bun=$(node_modules/.bin/bun try.js)
printf '%s\n%s\n' "$on_node" "$on_bun"
[[ $on_node == *": true; "*": true" && $on_bun == *": false; "*": false" ]] || { echo 'this has changed' >&2; exit 1; }
