#!/usr/bin/env bash
# Node 22 to 26, fs.cpSync(from, to, { recursive: true }): a socket or a FIFO in the folder is left out without a word; with `filter` it throws
# "Unreachable code".
#
# A good engineer expects: what the asynchronous fs.cp does, and what cpSync did up to Node 20: ERR_FS_CP_SOCKET, and ERR_FS_CP_FIFO_PIPE.
# What happens: without `filter`, cpSync copies folders in C++ since Node 22, which takes files, folders and links, and passes over all else.
# With `filter` it is the JavaScript of before, whose case for such files cannot be reached: ERR_INTERNAL_ASSERTION, "caused by either a bug in
# Node.js or incorrect usage of Node.js internals". A program that copies the data directory of a running service (a database's, a broker's, an agent's) gets
# an incomplete copy from one call and an internal error from the other.
# Around it: a `filter` that admits what lstat calls a file, a folder or a link.
#
# Output seen (November 2026), once for the folder with a socket and once for that with a FIFO; 22.23.1 and 24.21.0 as 26.10.0:
#   node v20.19.5: cpSync, cpSync with filter, cp: ERR_FS_CP_SOCKET, and ERR_FS_CP_FIFO_PIPE
#   node v26.10.0: cpSync: copied data of data, listening; cpSync with filter: ERR_INTERNAL_ASSERTION; cp: ERR_FS_CP_SOCKET
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 20.19.5 22.23.1 24.21.0 26.10.0; do
  mkdir "node-$version"
  (cd "node-$version" && echo '{"private":true}' >package.json && npm install --silent --no-audit --no-fund "node@$version" >/dev/null)
done

cat >try.mjs <<'JS'
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'

async function tried(what, from, work) {
  const to = `${from}-${what.replaceAll(' ', '-')}`
  try {
    await work(to)
    console.log(`  ${what}: copied ${readdirSync(to).join(', ')} of ${readdirSync(from).join(', ')}`)
  } catch ({ code }) {
    console.log(`  ${what}: ${code}`)
  }
}

async function all(from) {
  await tried('cpSync', from, to => cpSync(from, to, { recursive: true }))
  await tried('cpSync with filter', from, to => cpSync(from, to, { recursive: true, filter: () => true }))
  await tried('cp', from, to => cp(from, to, { recursive: true }))
}

console.log(`node ${process.version}`)
for (const name of ['socket', 'fifo']) {
  mkdirSync(name)
  writeFileSync(`${name}/data`, 'x')
}
const server = createServer().listen('socket/listening')
await new Promise(resolve => server.once('listening', resolve))
execFileSync('mkfifo', ['fifo/pipe'])
for (const name of ['socket', 'fifo']) await all(name)
server.close()
JS
for version in 20.19.5 22.23.1 24.21.0 26.10.0; do
  mkdir "in-$version"
  (cd "in-$version" && "../node-$version/node_modules/.bin/node" ../try.mjs)
done | tee seen

{
  echo 'node v20.19.5'
  for code in ERR_FS_CP_SOCKET ERR_FS_CP_FIFO_PIPE; do
    printf '  %s: %s\n' cpSync "$code" 'cpSync with filter' "$code" cp "$code"
  done
  for version in 22.23.1 24.21.0 26.10.0; do
    echo "node v$version"
    for kind in 'listening ERR_FS_CP_SOCKET' 'pipe ERR_FS_CP_FIFO_PIPE'; do
      printf '  %s: %s\n' cpSync "copied data of data, ${kind% *}" 'cpSync with filter' ERR_INTERNAL_ASSERTION cp "${kind#* }"
    done
  done
} >expected
diff expected seen && echo 'as it was'
