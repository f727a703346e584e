// An import of which one row in ten is odd, beside one without, at a started service: rows per second, CPU and peak memory of the
// provisioning process, and whether every odd row is named. Run by hand: node bench/scenarios/odd-rows.ts [rows] [rounds] [one in so many]
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { toPem } from '../../pki/pem.ts'
import { startSystem } from '../../test/e2e/system.ts'
import {
  commonNames,
  extensionOf,
  type ForgedCertificate,
  forgedCertificate,
  generalizedTime,
  isCa,
  noName,
  signatures,
  usageBits,
} from '../../test/harness/certificate-forge.ts'
import { keyPem, pqAuthority, pqLeaf } from '../../test/harness/ml-dsa.ts'
import { cpuOfOne, peakResidentKib, residentKib } from '../cpu.ts'

/** Of each import. */
const rows = Number(process.argv[2] ?? 100_000)
const rounds = Number(process.argv[3] ?? 1)
const every = Number(process.argv[4] ?? 10)
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const CA = 'Maker CA'
const ca = pqAuthority(CA, newKey())
const folder = mkdtempSync(join(tmpdir(), 'rollcall-bench-odd-'))

type Oddity = { make(id: string, key: KeyObject): string; named: RegExp }
const forged = (id: string, key: KeyObject, more: ForgedCertificate) =>
  toPem(
    forgedCertificate({
      ...{ subject: commonNames(id), issuer: commonNames(CA), key, signer: ca.key },
      ...more,
    }),
    'CERTIFICATE',
  )
const extended = (...extensions: Uint8Array[]) => ({ extensions })
const departing = (more: ForgedCertificate, named: RegExp): Oddity => ({
  make: (id, key) => forged(id, key, more),
  named,
})
/** Each with what its result must say. */
const oddities: readonly Oddity[] = [
  { make: () => 'no certificate at all', named: /^certificate/ },
  { make: (id, key) => forged(id, key, {}).replace(/^[^\n]*\n.{8}/, '$&AAAA'), named: /^certificate/ },
  { make: (id, key) => forged(id, key, {}) + keyPem(key), named: /private key/ },
  departing(extended(extensionOf.unknown(true)), /certificate_extension_unknown/),
  departing(extended(extensionOf.keyUsage(usageBits(0x20))), /certificate_key_usage_forbidden/),
  departing(extended(extensionOf.basicConstraints(isCa)), /certificate_is_ca/),
  departing(
    extended(extensionOf.subjectAltName(Buffer.from('300ea00c06082b060105050708040500', 'hex'))),
    /subjectAltName/,
  ),
  departing({ signature: signatures.ecdsaSha1 }, /certificate_signature_weak/),
  departing({ notAfter: generalizedTime('20350101240000Z') }, /notAfter is no date/),
  departing({ subject: noName }, /certificate\.subject/),
]

try {
  await using system = await startSystem(join(folder, 'data'))
  const provisioning = system.childPid('provisioning')
  const added = await system.api.call('POST', '/v1/issuers', { certificate: ca.certificate })
  if (added.status !== 201) throw new Error(JSON.stringify(added.body))
  const before = residentKib(provisioning)
  for (let round = 0; round < rounds; round += 1) {
    // The registry grows with each import: they take turns at being first.
    const [first, second] = [await importOf(round, round % 2 === 1), await importOf(round, round % 2 === 0)]
    const [clean, odd] = round % 2 === 0 ? [first, second] : [second, first]
    const ratio = (odd.perSecond / clean.perSecond).toFixed(2)
    const cpu = (odd.micros / clean.micros).toFixed(2)
    console.log(
      `round ${round}: ${ratio} × the clean rate (target: ≥ 0.9), ${cpu} × its CPU, load ${loadavg()[0]!.toFixed(1)}`,
    )
  }
  console.log(
    `resident memory of provisioning, MiB: ${mib(before)} before, peak ${mib(peakResidentKib(provisioning))}`,
  )

  async function importOf(round: number, withOdd: boolean) {
    const name = `${withOdd ? 'odd' : 'clean'}-${round}`
    const file = join(folder, name)
    const expected = await writeRows(file, name, withOdd)
    const cpu = cpuOfOne(provisioning)
    const job = await system.ask<{ id: string }>('device', 'import', file, '--format', 'ndjson', '--detach')
    const look = async () => (await system.api.call('GET', `/v1/jobs/${job.id}`)).body
    while ((await look()).state !== 'done') await pause(500)
    const micros = (cpuOfOne(provisioning) - cpu) / rows
    const { startedAt, finishedAt } = await look()
    const perSecond = rows / ((Date.parse(finishedAt) - Date.parse(startedAt)) / 1_000)
    const results = await system.run('job', 'results', job.id, '-o', 'jsonl')
    const named = checkResults(results.stdout.trim().split('\n'), expected)
    console.log(
      `${name}: ${rows} rows, ${perSecond.toFixed(0)}/s, ${micros.toFixed(0)} µs CPU each, ${named} odd rows named`,
    )
    return { perSecond, micros }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Writes the rows; gives what each odd one must be told, by line. */
async function writeRows(file: string, name: string, withOdd: boolean): Promise<Map<number, RegExp>> {
  const out = createWriteStream(file)
  const expected = new Map<number, RegExp>()
  for (let index = 0; index < rows; index += 1) {
    const deviceId = `${name}-${index}`
    const key = newKey()
    const oddity = withOdd && index % every === every - 1 ? oddities[expected.size % oddities.length]! : null
    if (oddity !== null) expected.set(index + 1, oddity.named)
    const certificate = oddity?.make(deviceId, key) ?? pqLeaf(deviceId, key, ca).certificate
    if (!out.write(`${JSON.stringify({ deviceId, certificate })}\n`))
      await new Promise(resolve => out.once('drain', resolve))
  }
  await new Promise<void>(resolve => out.end(resolve))
  return expected
}

/** @throws where an odd row was taken or not told why, or another was refused */
function checkResults(lines: readonly string[], expected: ReadonlyMap<number, RegExp>): number {
  if (lines.length !== rows) throw new Error(`${lines.length} results for ${rows} rows`)
  let named = 0
  for (const line of lines) {
    const { line: row, outcome, reason, detail } = JSON.parse(line)
    const pattern = expected.get(row)
    if (pattern === undefined ? outcome !== 'listed' : outcome !== 'refused' || !pattern.test(`${detail}`))
      throw new Error(`line ${row}: ${outcome} ${reason} ${detail}`)
    if (pattern !== undefined) named += 1
  }
  return named
}

function mib(kib: number): string {
  return (kib / 1_024).toFixed(0)
}
