// How fast an audit log is verified. Run by hand: node bench/scenarios/audit.ts [rows]
// Fills a registry of its own, a checkpoint every 1,000 rows, and walks it three times.
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareAppendAudit } from '../../db/audit/audit.ts'
import { keyIdOf, signCheckpoint } from '../../db/audit/audit-checkpoint.ts'
import { addCheckpoint } from '../../db/audit/audit-checkpoints.ts'
import { createAuditReader } from '../../db/audit/audit-reader.ts'
import { verifyChain } from '../../db/audit/audit-verifier.ts'
import { closeRegistry, openForWriting } from '../../db/index.ts'

const total = Number(process.argv[2] ?? 1_000_000)
const ROWS_PER_CHECKPOINT = 1_000
const RUNS = 3

const directory = mkdtempSync(join(tmpdir(), 'rollcall-bench-audit-'))
const registry = openForWriting(join(directory, 'registry.db'))
try {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  await fill(privateKey)
  const reader = createAuditReader(registry)
  const keys = new Map([[keyIdOf(publicKey), publicKey]])
  const rates: number[] = []
  let peakMiB = 0
  for (let run = 0; run < RUNS; run += 1) {
    const start = performance.now()
    const extent = reader.extent()
    const verified = await verifyChain(reader.batches(extent), {
      keys,
      counted: extent.counted,
      progress: () => {
        peakMiB = Math.max(peakMiB, process.memoryUsage.rss() / 2 ** 20)
      },
    })
    if (verified.outcome !== 'intact' || verified.rows !== total) throw new Error(JSON.stringify(verified))
    rates.push(total / ((performance.now() - start) / 1_000))
  }
  rates.sort((a, b) => a - b)
  console.log(
    `${total} rows, ${total / ROWS_PER_CHECKPOINT} checkpoints: ` +
      `${rates.map(rate => Math.round(rate).toLocaleString('en')).join(' / ')} rows/s (worst, median, best of ${RUNS}), ` +
      `target ≥ 200,000; peak resident ${Math.round(peakMiB)} MiB`,
  )
} finally {
  await closeRegistry(registry)
  rmSync(directory, { recursive: true })
}

/** Rows as they are in a fleet: most are of enrollments and first uses. */
async function fill(key: Parameters<typeof signCheckpoint>[1]): Promise<void> {
  const append = prepareAppendAudit(registry.sqlite)
  const reader = createAuditReader(registry)
  const page = registry.sqlite.transaction((from: number, through: number) => {
    for (let seq = from; seq <= through; seq += 1) {
      const deviceId = `sensor-${String(seq).padStart(8, '0')}`
      append({
        at: 1_700_000_000_000 + seq * 37,
        actor: {
          name: seq % 3 === 0 ? 'broker' : 'admin.token',
          kind: 'local' as const,
          requestId: crypto.randomUUID(),
        },
        action: seq % 3 === 0 ? 'certificate.activate' : 'certificate.issue',
        target: seq.toString(16).padStart(64, '0'),
        detail: seq % 3 === 0 ? {} : { deviceId, serialNumber: `4f${seq.toString(16)}`, trust: 'chained' },
      })
    }
  })
  registry.sqlite.pragma('synchronous = OFF')
  for (let seq = 0; seq < total; seq += ROWS_PER_CHECKPOINT) {
    page.immediate(seq + 1, Math.min(total, seq + ROWS_PER_CHECKPOINT))
    const { end, lastCheckpoint } = reader.extent()
    const number = (lastCheckpoint?.number ?? 0) + 1
    addCheckpoint(registry, signCheckpoint({ ...end, number, at: Date.now() }, key))
  }
}
