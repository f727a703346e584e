// An import of which every tenth row is odd, beside one without: rows per second of the job, in three turns, and whether every odd row is
// named. Run by hand: node bench/scenarios/odd-rows.ts [rows]
import { generateKeyPairSync } from 'node:crypto'
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { keyPem, pqAuthority, pqLeaf } from '../../test/harness/ml-dsa.ts'
import { startService } from '../../test/provisioning/harness.ts'

const ROUNDS = 3
/** Of each import; all of them together are six times as many. */
const rows = Number(process.argv[2] ?? 100_000)
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const ca = pqAuthority('Maker CA', newKey())
const folder = mkdtempSync(join(tmpdir(), 'rollcall-bench-odd-'))

/** What of a good certificate's PEM makes a row odd. */
const oddities: readonly ((pem: string) => string)[] = [
  () => '-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----\n',
  pem => pem.replace(/^[^\n]*\n.{8}/, head => `${head.slice(0, -8)}AAAAAAAA`),
  pem => pem + keyPem(newKey()),
  pem => pem + pem,
  () => 'no certificate at all',
]

await using service = await startService()
try {
  const added = await service.call('POST', '/v1/issuers', { certificate: ca.certificate })
  if (added.status !== 201) throw new Error(added.text)
  const ratios: number[] = []
  let [refused, expected] = [0, 0]
  for (let round = 0; round < ROUNDS; round += 1) {
    const clean = await importOf(`clean-${round}`, 0)
    const odd = await importOf(`odd-${round}`, 10)
    ratios.push(odd.perSecond / clean.perSecond)
    refused += odd.refused
    expected += odd.odd
  }
  const median = ratios.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)]!
  process.stdout.write(
    `${median.toFixed(2)} × (target: ≥ 0.9), ${refused} of ${expected} odd rows refused and named, load ${loadavg()[0]!.toFixed(1)}\n`,
  )
  if (refused !== expected) throw new Error('an odd row was not named')
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function importOf(name: string, every: number) {
  const file = join(folder, name)
  const out = createWriteStream(file)
  let odd = 0
  for (let index = 0; index < rows; index += 1) {
    const id = `${name}-${index}`
    const pem = pqLeaf(id, newKey(), ca).certificate
    const isOdd = every > 0 && index % every === every - 1
    const certificate = isOdd ? oddities[odd++ % oddities.length]!(pem) : pem
    if (!out.write(`${JSON.stringify({ deviceId: id, certificate })}\n`))
      await new Promise(resolve => out.once('drain', resolve))
  }
  await new Promise<void>(resolve => out.end(resolve))
  const started = await service.call('POST', '/v1/jobs', undefined, {
    raw: readFileSync(file, 'utf8'),
    headers: { 'content-type': 'application/x-ndjson' },
  })
  if (started.status !== 202) throw new Error(started.text)
  const job = async () => (await service.call('GET', `/v1/jobs/${started.body.id}`)).body
  while ((await job()).state !== 'done') await pause(100)
  const { startedAt, finishedAt } = await job()
  const seconds = (Date.parse(finishedAt) - Date.parse(startedAt)) / 1_000
  const results = (await service.call('GET', `/v1/jobs/${started.body.id}/results`)).text.trim().split('\n')
  const refused = results.filter(line => JSON.parse(line).reason !== undefined).length
  process.stdout.write(`${name}: ${rows} rows in ${seconds.toFixed(1)} s\n`)
  return { perSecond: rows / seconds, odd, refused }
}
