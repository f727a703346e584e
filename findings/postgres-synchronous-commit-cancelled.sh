#!/usr/bin/env bash
# PostgreSQL 15 and pg 8.23.1: a commit whose wait for the synchronous standby is cancelled succeeds, and statement_timeout does not bound that wait.
#
# A good engineer expects: with `synchronous_standby_names` set a commit that was answered is on the standby; a cancelled statement is an error; and
# `statement_timeout` ends a statement that takes longer.
# What happens: while no standby answers, the INSERT waits well beyond its statement_timeout. `pg_cancel_backend`, the usual remedy for what hangs, makes it
# succeed: the promise of pg resolves with its row count. The warning that the row "might not have been replicated" is a 'notice' event of the client, which
# nobody listens to by default; a failover loses a row that the application has confirmed. `pg_terminate_backend` keeps the row, too, and pg reports a
# lost connection. pg's `query_timeout` rejects, and the backend goes on waiting: the row appears once somebody cancels that, or a standby is back.
# So where acknowledgements rest on the standby: treat the warning "canceling wait for synchronous replication" as a failure, end waits by changing
# `synchronous_standby_names` with open eyes, and take a timeout of the client's for an unknown outcome.
#
# Output seen (November 2026, PostgreSQL 15.18-0+deb12u1, pg 8.23.1):
#   statement_timeout 300 ms: after 3 s still waiting; rows that others see: 0
#   then pg_cancel_backend: resolved, rowCount 1; notice: canceling wait for synchronous replication due to user request; rows that others see: 1
#   pg_terminate_backend: rejected, Connection terminated unexpectedly; rows that others see: 2
#   query_timeout 300 ms of pg: rejected, Query read timeout; rows that others see: 2
#   then pg_cancel_backend: rows that others see: 3
set -euo pipefail
folder=$(mktemp -d)
# Debian's own package: postgresql-15, which refuses to run as root.
binaries=/usr/lib/postgresql/15/bin
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  chown postgres "$folder"
  as() { runuser -u postgres -- "$@"; }
fi
trap 'as "$binaries/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
cd "$folder"
as "$binaries/initdb" -D "$folder/data" -A trust -U postgres >/dev/null
as "$binaries/pg_ctl" -D "$folder/data" -w -l "$folder/log" \
  -o "-k $folder -c listen_addresses= -c synchronous_standby_names=absent" start >/dev/null
mkdir npm
cd npm
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund pg@8.23.1 >/dev/null
cat >try.js <<'JS'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

async function connect(more = {}) {
  const client = new pg.Client({ host: process.argv[2], user: 'postgres', database: 'postgres', ...more })
  client.on('error', () => {})
  client.notices = []
  client.on('notice', ({ message }) => client.notices.push(message))
  await client.connect()
  client.backend = (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid
  return client
}
const admin = await connect()
await admin.query('SET synchronous_commit = local')
await admin.query('CREATE TABLE t (n int)')
const rows = async () => `rows that others see: ${(await admin.query('SELECT count(*)::int AS n FROM t')).rows[0].n}`
const insert = client =>
  client.query('INSERT INTO t VALUES (1)').then(
    ({ rowCount }) => `resolved, rowCount ${rowCount}`,
    ({ message }) => `rejected, ${message}`,
  )
/** Waits until the backend waits for the standby, or does so no longer. */
async function untilWaiting({ backend }, expected = true) {
  for (;;) {
    const { rows } = await admin.query('SELECT wait_event FROM pg_stat_activity WHERE pid = $1', [backend])
    if ((rows[0]?.wait_event === 'SyncRep') === expected) return
    await delay(50)
  }
}

const bounded = await connect()
await bounded.query("SET statement_timeout = '300ms'")
const pending = insert(bounded)
await untilWaiting(bounded)
const answer = await Promise.race([pending, delay(3_000, 'after 3 s still waiting')])
console.log(`statement_timeout 300 ms: ${answer}; ${await rows()}`)
await admin.query('SELECT pg_cancel_backend($1)', [bounded.backend])
const outcome = await pending
console.log(`then pg_cancel_backend: ${outcome}; notice: ${bounded.notices}; ${await rows()}`)

const ended = await connect()
const lost = insert(ended)
await untilWaiting(ended)
await admin.query('SELECT pg_terminate_backend($1)', [ended.backend])
const told = await lost
await untilWaiting(ended, false)
console.log(`pg_terminate_backend: ${told}; ${await rows()}`)

const impatient = await connect({ query_timeout: 300 })
const gaveUp = await insert(impatient)
console.log(`query_timeout 300 ms of pg: ${gaveUp}; ${await rows()}`)
await admin.query('SELECT pg_cancel_backend($1)', [impatient.backend])
await untilWaiting(impatient, false)
console.log(`then pg_cancel_backend: ${await rows()}`)
process.exit(0)
JS
cat >expected <<'TEXT'
statement_timeout 300 ms: after 3 s still waiting; rows that others see: 0
then pg_cancel_backend: resolved, rowCount 1; notice: canceling wait for synchronous replication due to user request; rows that others see: 1
pg_terminate_backend: rejected, Connection terminated unexpectedly; rows that others see: 2
query_timeout 300 ms of pg: rejected, Query read timeout; rows that others see: 2
then pg_cancel_backend: rows that others see: 3
TEXT
"$binaries/postgres" --version
timeout 60 node try.js "$folder" | tee seen
diff expected seen
