// Several processes append at the same time, and some are killed in the middle: one chain, and every change with its row.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type AuditLog, createAuditLog } from '../../harness/audit.ts'
import { until } from '../../harness/until.ts'

const fixture = fileURLToPath(new URL('./fixtures/audit-appender.ts', import.meta.url))

/** Gives the process, and what it said it had committed when it ended. */
function appender(log: AuditLog, writer: 'operator' | 'broker') {
  const child = spawn(process.execPath, [fixture, log.file, writer], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let committed = 0
  const lines = createInterface({ input: child.stdout! })
  lines.on('line', line => {
    committed = Number(line)
  })
  const ended = Promise.all([once(child, 'exit'), once(lines, 'close')])
  return { child, lines, ended, committed: () => committed }
}

const count = (log: AuditLog, sql: string) => log.registry.sqlite.prepare(sql).pluck().get() as number

/** How often another kind of writer came next. */
const turnsIn = (log: AuditLog) =>
  count(
    log,
    'SELECT count(*) FROM (SELECT actor, lag(actor) OVER (ORDER BY seq) AS before FROM audit) WHERE actor <> before',
  )

test('two processes of each kind append at once, and the chain never forks', async () => {
  await using log = await createAuditLog()
  const writers = (['operator', 'broker', 'operator', 'broker'] as const).map(kind => appender(log, kind))
  await begin(writers)
  await Promise.all(writers.map(writer => saidSome(writer, 50)))
  // They go on until they have: the first may keep the lock for long.
  await until(() => turnsIn(log) >= 3)
  for (const { child } of writers) child.stdin!.end()
  await Promise.all(writers.map(({ ended }) => ended))
  assert.deepEqual(
    writers.map(({ child }) => child.exitCode),
    [0, 0, 0, 0],
  )
  const committed = writers.reduce((sum, writer) => sum + writer.committed(), 0)
  const { outcome, rows, fault } = await log.verify()
  assert.deepEqual([outcome, rows, fault], ['intact', committed, null])
  assert.equal(count(log, 'SELECT count(DISTINCT prev_hash) FROM audit'), committed)
})

test('kill -9 during appends leaves a valid chain that the next writer continues', async () => {
  await using log = await createAuditLog()
  let promised = 0
  for (let round = 0; round < 5; round += 1) {
    const writers = [appender(log, 'operator'), appender(log, 'broker')]
    await begin(writers)
    await Promise.all(writers.map(writer => saidSome(writer, 20 + 7 * round)))
    for (const { child } of writers) child.kill('SIGKILL')
    await Promise.all(writers.map(({ ended }) => ended))
    promised += writers.reduce((sum, { committed }) => sum + committed(), 0)
    const { outcome, rows, fault } = await log.verify()
    assert.deepEqual([outcome, fault], ['intact', null])
    assert.ok(rows >= promised, `${rows} rows, ${promised} were committed`)
    await log.seal()
  }
  assert.equal(
    count(log, 'SELECT count(*) FROM devices'),
    count(log, "SELECT count(*) FROM audit WHERE action = 'device.add'"),
  )
  const { checkpoints, unsealedRows } = await log.verify()
  assert.deepEqual([checkpoints, unsealedRows], [5, 0])
})

async function begin(writers: ReturnType<typeof appender>[]): Promise<void> {
  await Promise.all(writers.map(writer => saidSome(writer, 1)))
  for (const { child } of writers) child.stdin!.write('begin')
}

async function saidSome(
  { lines, child }: { lines: NodeJS.EventEmitter; child: ChildProcess },
  enough: number,
): Promise<void> {
  const exited = once(child, 'exit').then(() => Promise.reject(new Error('it ended by itself')))
  exited.catch(() => {})
  for (let said = 0; said < enough; said += 1) await Promise.race([once(lines, 'line'), exited])
}
